//! What a run takes from a remote before it works: only the bytes that somebody looks at, or that a stage reads which must run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cli::events::Line;
use crate::cli::failure::Failure;
use crate::cli::page::{self, outln};
use crate::cli::progress::Bar;
use crate::cli::project::Project;
use crate::cli::remote::{Opened, amount};
use crate::engine::{Plan, Status, Wish};
use crate::pipeline::target;
use crate::remote::{Records, Refusal};
use crate::stage::StageKey;
use crate::store::Summary;

impl Opened {
    /// Makes a plan in which what is there counts as done, from one of what is here, and fetches what is needed of it. What turns out to
    /// be damaged is no longer there for the next plan, so that its stage runs.
    pub(in crate::cli) fn plan(
        &self,
        project: &Project,
        wish: &Wish,
        here: &Plan,
        cancelled: &AtomicBool,
        is_json: bool,
    ) -> Result<Plan, Failure> {
        let keyed = &project.keyed;
        let statuses = keyed.nodes.iter().zip(&here.statuses);
        let lacking = statuses.filter(|(_, status)| matches!(status, Status::Miss(_)));
        let lacking = lacking.map(|(node, _)| node.key).collect();
        let (mut records, wrong) = self.remote.records(&self.there, &lacking)?;
        tell_refused(project, wrong.into_iter().map(|key| (key, Refusal::Record)), is_json)?;
        let found = records.len();
        let is_named = target::select(keyed, &wish.targets)?;
        let looks_at = |place: usize| {
            keyed.nodes[place].node.work.kind().published || (!wish.targets.is_empty() && is_named[place])
        };
        let (mut results, mut objects, mut bytes, mut received) = (0, 0, 0, 0);
        loop {
            let summary = |key: StageKey| Some(Arc::new(Summary::of(&records.get(&key)?.0)));
            let plan = Plan::with(keyed, &project.store, wish, &summary)?;
            let needed = plan.needed_here(keyed, looks_at);
            if needed.is_empty() {
                note(project, &plan, &records)?;
                if found > 0 {
                    let there = Line::Fetched {
                        remote: self.remote.shown().to_owned(),
                        there: found,
                        results,
                        objects,
                        bytes,
                        received,
                    };
                    tell(&there, is_json)?;
                }
                return Ok(plan);
            }
            let needed: BTreeSet<StageKey> = needed.into_iter().map(|place| keyed.nodes[place].key).collect();
            let wanted: Records = records
                .iter()
                .filter(|(key, _)| needed.contains(key))
                .map(|(key, found)| (*key, found.clone()))
                .collect();
            let bar = Bar::new("fetched");
            let progress = |done, total| bar.tell(done, total);
            let taken = self.remote.take(&project.store, &self.there, &wanted, cancelled, &progress)?;
            drop(bar);
            (results, objects) = (results + taken.results, objects + taken.objects);
            (bytes, received) = (bytes + taken.bytes, received + taken.received);
            taken.refused.keys().for_each(|key| _ = records.remove(key));
            tell_refused(project, taken.refused.into_iter(), is_json)?;
        }
    }
}

fn tell_refused(
    project: &Project,
    refused: impl Iterator<Item = (StageKey, Refusal)>,
    is_json: bool,
) -> Result<(), Failure> {
    for (key, why) in refused {
        let node = project.keyed.nodes.iter().find(|node| node.key == key);
        let stage = node.map(|node| node.node.to_string()).unwrap_or_default();
        tell(&Line::Refused { stage, why: why.to_string() }, is_json)?;
    }
    Ok(())
}

/// Keeps the records of what is done there, so that what is made from it here can be followed back.
fn note(project: &Project, plan: &Plan, records: &Records) -> Result<(), Failure> {
    for (node, status) in project.keyed.nodes.iter().zip(&plan.statuses) {
        if let (Status::Elsewhere(_), Some((_, text))) = (status, records.get(&node.key)) {
            project.store.note_elsewhere(node.key, text)?;
        }
    }
    Ok(())
}

fn tell(line: &Line, is_json: bool) -> Result<(), Failure> {
    if is_json {
        return outln!("{}", line.to_text());
    }
    match line {
        Line::Fetched { remote, there, results, objects, bytes, received } => {
            let stages = page::count(*there, "stage");
            let fetched = match results {
                0 => "none of their bytes are needed here".to_owned(),
                _ => format!(
                    "fetched {}: {}",
                    page::count(*results, "result"),
                    amount(*objects, *bytes, *received)
                ),
            };
            eprintln!("remote {remote}: {stages} done there; {fetched}");
        }
        Line::Refused { stage, why } => {
            eprintln!("{stage}: not taken from the remote, as {why}; it is done here");
        }
        _ => {}
    }
    Ok(())
}
