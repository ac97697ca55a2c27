//! Runs one node, whose inputs are in the store, and commits it: what a job of a cluster does.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;

use crate::engine::event::Observer;
use crate::engine::flusher;
use crate::engine::job::{Job, Surroundings};
use crate::engine::rerun::{RerunError, execute, job};
use crate::engine::scheduler::Settings;
use crate::pipeline::Keyed;
use crate::store::{Store, Summary};

/// Runs one node; its result is on the disk afterwards, unless the store is a worker's.
pub fn run_one(
    keyed: &Keyed,
    place: usize,
    store: &Store,
    settings: &Settings<'_>,
    is_forced: bool,
    observer: &mut dyn Observer,
) -> Result<Arc<Summary>, RerunError> {
    let job = Job { counts_kills: true, ..job(keyed, place, store, settings.capacity.threads, is_forced)? };
    let is_failed = AtomicBool::new(false);
    let around = Surroundings { store, settings, is_failed: &is_failed };
    std::thread::scope(|scope| {
        let (end, is_ended) = channel();
        // It also shows others that this process is alive.
        let flusher = scope.spawn(move || flusher::run(store, &is_ended));
        let result = execute(&job, around, observer);
        drop(end);
        flusher.join().expect("it does not panic")?;
        let stage = || keyed.nodes[place].node.to_string();
        result.map_err(|error| RerunError::Failed { stage: stage(), error })
    })
}
