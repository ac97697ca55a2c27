//! `layerwise push`.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use clap::Args;
use serde_json::json;

use crate::cli::events::Line;
use crate::cli::failure::Failure;
use crate::cli::page::{self, outln};
use crate::cli::progress::Bar;
use crate::cli::project::Project;
use crate::cli::remote::{Opened, Shared, amount};
use crate::cli::{Target, sign, signals};
use crate::pipeline::target;
use crate::remote::{Pushed, Pushing};
use crate::stage::StageKey;

/// Arguments of `push`.
#[derive(Args)]
pub(in crate::cli) struct Push {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    shared: Shared,
    /// Sign it with this minisign key, for those who believe only some
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Send it again over what is there, where that is damaged
    #[arg(long = "again")]
    is_again: bool,
}

impl Push {
    pub(in crate::cli) fn execute(self) -> Result<(), Failure> {
        let project = Project::open(&self.target)?;
        let named = target::select(&project.keyed, &self.target.stages)?;
        let nodes = project.keyed.nodes.iter().zip(named).filter(|(_, is_named)| *is_named);
        let keys: Vec<StageKey> = nodes.map(|(node, _)| node.key).collect();
        let opened = self.shared.require(&project.store, true)?;
        let cancelled = signals::catch();
        let pushed = push(&project, &opened, &keys, self.key.as_ref(), self.is_again, &cancelled)?;
        if pushed.new + pushed.known == 0 {
            return Err(Failure::Input {
                message: format!("nothing of '{}' was run yet", self.target.pipeline.display()),
                hint: "run it first, with 'layerwise run'".to_owned(),
            });
        }
        if self.target.json {
            return page::print_json(&json!({
                "remote": opened.remote.shown(), "new": pushed.new, "known": pushed.known,
                "objects": pushed.objects, "bytes": pushed.bytes, "sent": pushed.sent
            }));
        }
        outln!("{}", sentence(&pushed))
    }
}

/// Brings what the store has of these keys.
pub(in crate::cli) fn push(
    project: &Project,
    opened: &Opened,
    keys: &[StageKey],
    key: Option<&PathBuf>,
    is_again: bool,
    cancelled: &AtomicBool,
) -> Result<Pushed, Failure> {
    let signer = key.map(|path| sign::open(path)).transpose()?;
    let bar = Bar::new("pushed");
    let how = Pushing {
        signer: signer.as_ref(),
        repair: is_again,
        cancelled,
        progress: &|done, total| bar.tell(done, total),
    };
    Ok(opened.remote.push(&project.store, keys, &opened.there, &how)?)
}

/// Says what a run brought to a remote.
pub(in crate::cli) fn tell_pushed(opened: &Opened, pushed: &Pushed, is_json: bool) -> Result<(), Failure> {
    let remote = opened.remote.shown();
    if !is_json {
        eprintln!("remote {remote}: {}", sentence(pushed));
        return Ok(());
    }
    let Pushed { new: results, objects, bytes, sent, .. } = *pushed;
    outln!("{}", Line::Pushed { remote: remote.to_owned(), results, objects, bytes, sent }.to_text())
}

/// What a push came to, in words.
fn sentence(pushed: &Pushed) -> String {
    let known = match pushed.known {
        0 => String::new(),
        known => format!("; {known} were there"),
    };
    let amount = amount(pushed.objects, pushed.bytes, pushed.sent);
    format!("pushed {}: {amount}{known}", page::count(pushed.new, "result"))
}
