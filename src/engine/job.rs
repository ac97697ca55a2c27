//! One execution: take the lease, run the stage, commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::cancel::Cancel;
use crate::pipeline::KeyedNode;
use crate::stage::{Context, Inputs, Report, StageError};
use crate::store::{Begin, Provenance, Record, Staging, Store};

/// How often a job looks whether another process has finished the same work.
const POLL: Duration = Duration::from_millis(100);

/// What a run may use; nothing of it affects results.
pub struct Settings<'a> {
    /// The project's folder.
    pub root: &'a Path,
    /// How many stages run side by side.
    pub jobs: usize,
    /// How many threads they share.
    pub threads: usize,
    /// Set when the user wants to stop.
    pub cancelled: &'a AtomicBool,
    /// What every record of this run says of its origin.
    pub provenance: Provenance,
}

/// What a job tells the scheduler.
pub(super) enum Message {
    Reported(usize, Report),
    Waiting(usize),
    Done(usize, Result<Arc<Record>, StageError>),
}

/// A node that is to run, with all that it needs.
pub(super) struct Job<'a> {
    pub(super) place: usize,
    pub(super) node: &'a KeyedNode,
    pub(super) inputs: Inputs,
    pub(super) threads: usize,
}

/// Runs the job and sends exactly one `Done`.
pub(super) fn run(job: &Job<'_>, store: &Store, settings: &Settings<'_>, sender: &Sender<Message>) {
    let result = catch_unwind(AssertUnwindSafe(|| attempt(job, store, settings, sender)));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
        Err(StageError::with_hint(format!("the stage panicked: {text}"), "report this as a bug of layerwise"))
    });
    // The scheduler outlives every job, so the message arrives.
    let _ = sender.send(Message::Done(job.place, result.map(Arc::new)));
}

fn attempt(
    job: &Job<'_>,
    store: &Store,
    settings: &Settings<'_>,
    sender: &Sender<Message>,
) -> Result<Record, StageError> {
    let mut is_told = false;
    loop {
        match store.begin(job.node.key)? {
            Begin::Done(record) => return Ok(record),
            Begin::Mine(staging) => return build(job, store, staging, settings, sender),
            Begin::Busy if settings.cancelled.load(Ordering::Relaxed) => return Err(StageError::Cancelled),
            Begin::Busy => {
                if !std::mem::replace(&mut is_told, true) {
                    let _ = sender.send(Message::Waiting(job.place));
                }
                std::thread::sleep(POLL);
            }
        }
    }
}

fn build(
    job: &Job<'_>,
    store: &Store,
    staging: Staging,
    settings: &Settings<'_>,
    sender: &Sender<Message>,
) -> Result<Record, StageError> {
    let work = &job.node.node.work;
    if !work.kind().resumes {
        staging.clear()?;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "provenance only: in the record, never in a key or an output"
    )]
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let clock = Instant::now();
    let report = |report: Report| drop(sender.send(Message::Reported(job.place, report)));
    let context = Context {
        out: staging.out(),
        scratch: staging.scratch(),
        root: settings.root,
        threads: job.threads,
        cancel: Cancel::new(settings.cancelled),
        parts: &store.parts(),
        log: &store.log_path(job.node.key),
        report: &report,
    };
    if let Err(error) = work.run(&job.inputs, &context) {
        if !work.kind().resumes || !store.is_staged(job.node.key) {
            staging.discard()?;
        }
        return Err(error);
    }
    let seconds = clock.elapsed().as_secs_f64();
    let provenance = Provenance { started, seconds, threads: job.threads, ..settings.provenance.clone() };
    Ok(staging.commit(job.node.fields.clone(), provenance)?)
}
