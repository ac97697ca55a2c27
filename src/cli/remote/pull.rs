//! `layerwise pull`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::page::{self, outln};
use crate::cli::progress::Bar;
use crate::cli::project::Project;
use crate::cli::remote::{Shared, amount};
use crate::cli::{Target, signals};
use crate::pipeline::target;
use crate::remote::Refusal;
use crate::stage::StageKey;
use crate::store::{Found, StoreError};

/// Arguments of `pull`.
#[derive(Args)]
pub(in crate::cli) struct Pull {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    shared: Shared,
}

impl Pull {
    pub(in crate::cli) fn execute(self) -> Result<(), Failure> {
        let project = Project::open(&self.target)?;
        let named = target::select(&project.keyed, &self.target.stages)?;
        let nodes = project.keyed.nodes.iter().zip(named).filter(|(_, is_named)| *is_named);
        let nodes: Vec<_> = nodes.map(|(node, _)| node).collect();
        let (mut lacking, mut all) = (BTreeSet::new(), BTreeSet::new());
        for node in &nodes {
            all.insert(node.key);
            if !matches!(project.store.find(node.key)?, Found::Whole(_)) {
                lacking.insert(node.key);
            }
        }
        let opened = self.shared.require(&project.store, false)?;
        let cancelled = signals::catch();
        let (records, wrong) = opened.remote.records(&opened.there, &lacking)?;
        let bar = Bar::new("pulled");
        let progress = |done, total| bar.tell(done, total);
        let mut taken = opened.remote.take(&project.store, &opened.there, &records, &cancelled, &progress)?;
        drop(bar);
        taken.refused.extend(wrong.into_iter().map(|key| (key, Refusal::Record)));
        // What was pulled is kept by a collection as what was run is.
        project.store.note_run(&project.keyed.pipeline, &all).map_err(StoreError::from)?;
        let name =
            |key: &StageKey| nodes.iter().find(|node| node.key == *key).map(|node| node.node.to_string());
        let refused = taken.refused.iter().filter_map(|(key, why)| Some((name(key)?, why.to_string())));
        let refused: Vec<(String, String)> = refused.collect();
        let absent = lacking.iter().filter(|key| !opened.there.has(**key));
        let absent: Vec<String> = absent.filter_map(name).collect();
        let known = all.len() - lacking.len();
        if self.target.json {
            page::print_json(&json!({
                "remote": opened.remote.shown(), "new": taken.results, "known": known, "objects": taken.objects,
                "bytes": taken.bytes, "received": taken.received, "absent": absent,
                "refused": refused.iter().map(|(stage, why)| json!({ "stage": stage, "why": why })).collect::<Vec<_>>()
            }))?;
        } else {
            let known = if known == 0 { String::new() } else { format!("; {known} were here") };
            let amount = amount(taken.objects, taken.bytes, taken.received);
            outln!("pulled {}: {amount}{known}", page::count(taken.results, "result"))?;
            if !absent.is_empty() {
                eprintln!("note: {} not there: {}", page::count(absent.len(), "result"), some(&absent));
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        let reasons: Vec<String> = refused.iter().map(|(stage, why)| format!("{stage} ({why})")).collect();
        Err(Failure::Wrong {
            message: format!("{} not taken: {}", page::count(refused.len(), "result"), some(&reasons)),
            hint: "run the stages here, or ask who has them to 'layerwise push --again'".to_owned(),
        })
    }
}

/// The first of many names.
pub(super) fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
