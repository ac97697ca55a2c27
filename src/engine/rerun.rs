//! Does a stage again, in a store that is thrown away, and compares: the test of the claim that equal keys give equal bytes.
//!
//! The inputs are those of the real store; everything else is new, so training states and probes of earlier executions are not
//! taken either.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;

use crate::base::digest::Digest;
use crate::engine::event::{Event, Observer};
use crate::engine::inputs;
use crate::engine::job::{Job, Message, Surroundings};
use crate::engine::{Outcome, Settings, TooMuch};
use crate::pipeline::Keyed;
use crate::stage::StageError;
use crate::store::{Found, Store, StoreError, Summary};

/// A file that is not the same again; `None` where there is no such file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// Its name in the artifact.
    pub name: String,
    /// In the store.
    pub kept: Option<Digest>,
    /// Now.
    pub again: Option<Digest>,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// The result, or one that it is made from, is not in the store.
    #[error("the result of '{stage}' is not in the store")]
    NotThere {
        /// The node.
        stage: String,
    },
    /// The stage asks for more than there is.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// The stage failed this time.
    #[error("'{stage}' failed this time: {error}")]
    Failed {
        /// The node.
        stage: String,
        /// Why.
        error: StageError,
    },
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs one node again; returns the files that differ.
pub fn rerun(
    keyed: &Keyed,
    place: usize,
    store: &Store,
    settings: &Settings<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Differing>, RerunError> {
    let node = &keyed.nodes[place];
    settings.capacity.check(node)?;
    let kept = find(keyed, place, store)?;
    let job = job(keyed, place, store, settings.capacity.threads, true)?;
    let scratch = store.scratch()?;
    let result = execute(
        &job,
        Surroundings { store: &scratch.store, settings, is_failed: &AtomicBool::new(false) },
        observer,
    );
    match result {
        Ok(again) => Ok(differing(&kept, &again)),
        Err(error) => Err(RerunError::Failed { stage: node.node.to_string(), error }),
    }
}

/// The job of a node whose inputs are in the store.
pub(super) fn job<'a>(
    keyed: &'a Keyed,
    place: usize,
    store: &Store,
    threads: usize,
    is_forced: bool,
) -> Result<Job<'a>, RerunError> {
    let node = &keyed.nodes[place];
    let sources = node.node.inputs.iter().flat_map(|(_, sources)| sources).chain(&node.inputs);
    let sources: BTreeSet<usize> = sources.copied().collect();
    let found: Result<BTreeMap<usize, Arc<Summary>>, RerunError> =
        sources.into_iter().map(|source| Ok((source, find(keyed, source, store)?))).collect();
    let found = found?;
    Ok(Job {
        place,
        pipeline: &keyed.pipeline,
        node,
        inputs: inputs::gather(keyed, place, store, |source| &found[&source]),
        digests: node.inputs.iter().map(|source| found[source].artifact).collect(),
        threads,
        is_forced,
        counts_kills: false,
    })
}

fn find(keyed: &Keyed, place: usize, store: &Store) -> Result<Arc<Summary>, RerunError> {
    match store.find(keyed.nodes[place].key)? {
        Found::Whole(summary) => Ok(summary),
        _ => Err(RerunError::NotThere { stage: keyed.nodes[place].node.to_string() }),
    }
}

/// Runs a job on a thread of its own, so that what it tells is heard meanwhile.
pub(super) fn execute(
    job: &Job<'_>,
    around: Surroundings<'_>,
    observer: &mut dyn Observer,
) -> Result<Arc<Summary>, StageError> {
    let (sender, receiver) = channel();
    let node = job.node;
    observer.event(&Event::Planned { wanted: 1, misses: 1 });
    let threads = job.threads;
    std::thread::scope(|scope| {
        scope.spawn(move || sender.send(job.run(around, &sender)));
        loop {
            match receiver.recv().expect("a job sends one 'Done'") {
                Message::Started(_) => observer.event(&Event::Started { node, threads }),
                Message::Refused(_) => return Err(StageError::Cancelled),
                Message::Reported(_, report) => observer.event(&Event::Reported { node, report: &report }),
                Message::Waiting(_) => observer.event(&Event::Waiting { node }),
                Message::Retried(_, error) => observer.event(&Event::Retried { node, error: &error }),
                Message::Done(_, Ok(summary)) => {
                    let outcome = Outcome::Built(Arc::clone(&summary));
                    observer.event(&Event::Ended { node, outcome: &outcome, is_foreseen: false });
                    return Ok(summary);
                }
                Message::Done(_, Err(error)) => return Err(error),
                Message::Told(_) | Message::Gone(_) => unreachable!("it runs here"),
            }
        }
    })
}

fn differing(kept: &Summary, again: &Summary) -> Vec<Differing> {
    let by_name = |summary: &Summary| -> BTreeMap<String, Digest> {
        summary.outputs.iter().map(|output| (output.name.clone(), output.digest)).collect()
    };
    let (kept, again) = (by_name(kept), by_name(again));
    let names: BTreeSet<_> = kept.keys().chain(again.keys()).collect();
    let both = names.into_iter().map(|name| Differing {
        name: name.clone(),
        kept: kept.get(name).copied(),
        again: again.get(name).copied(),
    });
    both.filter(|file| file.kept != file.again).collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::engine::Capacity;
    use crate::engine::toys::{Log, keyed, run_in};
    use crate::store::Provenance;

    #[test]
    fn what_is_done_again_is_compared_and_leaves_nothing() {
        let folder = TempDir::new().unwrap();
        let text = "
pipeline: toy
stages:
  said: { say: { word: a } }
  counted: { needs: { after: said }, say: { word: count } }
  joined: { needs: { texts: said }, join: {} }
";
        let keyed = keyed(text, &[]);
        let store = || Store::open(&folder.path().join("store")).unwrap();
        let settings = Settings {
            root: folder.path(),
            local: None,
            capacity: Capacity { jobs: 1, threads: 1, memory: 0, gpus: 0 },
            keep_going: false,
            cancelled: &std::sync::atomic::AtomicBool::new(false),
            provenance: Provenance::default(),
        };
        let again = |stage: &str| {
            let place = keyed.nodes.iter().position(|node| node.node.stage.as_str() == stage).unwrap();
            rerun(&keyed, place, &store(), &settings, &mut Log::default())
        };
        assert!(matches!(again("joined"), Err(RerunError::NotThere { stage }) if stage == "joined"));
        run_in(folder.path(), &keyed, &[]);
        assert_eq!(again("said").unwrap(), []);
        assert_eq!(again("joined").unwrap(), []);
        let differing = again("counted").unwrap();
        assert!(matches!(&differing[..], [file] if file.name == "text.txt" && file.kept != file.again));
        assert_eq!(crate::base::fsx::list(&folder.path().join("store")).unwrap(), ["v1"]);
        assert!(run_in(folder.path(), &keyed, &[]).starts_with("planned 0 of 3"), "the store is as it was");
    }
}
