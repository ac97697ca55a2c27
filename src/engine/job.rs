//! One execution: take the lease, run the stage, commit; again after a failure, as often as the stage says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::cancel::Cancel;
use crate::base::digest::Digest;
use crate::base::memory;
use crate::engine::Settings;
use crate::engine::executor::Told;
use crate::pipeline::KeyedNode;
use crate::stage::{Context, Inputs, Report, StageError};
use crate::store::{Begin, Provenance, Staging, Store, StoreError, Summary};

/// How often a job looks whether another process has finished the same work.
const POLL: Duration = Duration::from_millis(100);

/// What a job tells the scheduler, about the node at a place.
pub(super) enum Message {
    Started(usize),
    /// The run stops, so the job was not begun.
    Refused(usize),
    Reported(usize, Report),
    /// Another process holds the lease.
    Waiting(usize),
    /// An attempt failed, and another one begins.
    Retried(usize, StageError),
    Done(usize, Result<Arc<Summary>, StageError>),
    /// Of a node that runs elsewhere.
    Told(Told),
    /// The executor tells no more; whether it panicked.
    Gone(bool),
}

/// A node that is to run, with all that it needs.
pub(super) struct Job<'a> {
    pub(super) place: usize,
    pub(super) pipeline: &'a str,
    pub(super) node: &'a KeyedNode,
    pub(super) inputs: Inputs,
    /// Digests of the inputs' artifacts, in the order of the key's inputs.
    pub(super) digests: Vec<Digest>,
    pub(super) threads: usize,
    /// Whether to do the work even if it is done.
    pub(super) is_forced: bool,
    /// Whether to throw away what came of work of which a process was killed for want of memory: alone in a control group, as jobs of
    /// a cluster are, it can tell.
    pub(super) counts_kills: bool,
}

/// What all jobs of a run share.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) store: &'a Store,
    pub(super) settings: &'a Settings<'a>,
    /// Set at the first failure, unless the user wants to keep going.
    pub(super) is_failed: &'a AtomicBool,
}

impl Surroundings<'_> {
    /// Whether nothing new is to start.
    pub(super) fn stops(&self) -> bool {
        self.is_failed.load(Ordering::Relaxed) || self.settings.cancelled.load(Ordering::Relaxed)
    }
}

impl Job<'_> {
    /// Runs the job; sends `Started` first, and returns what is to be sent last: `Done`, or `Refused` if nothing was begun. The
    /// scheduler outlives every job, so that a message arrives.
    pub(super) fn run(&self, around: Surroundings<'_>, sender: &Sender<Message>) -> Message {
        if around.stops() {
            return Message::Refused(self.place);
        }
        let _ = sender.send(Message::Started(self.place));
        let result = catch_unwind(AssertUnwindSafe(|| self.attempts(around, sender)));
        let result = result.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            let text = format!("the stage panicked: {}", text.unwrap_or_default());
            Err(StageError::with_hint(text, "report this as a bug of layerwise"))
        });
        if matches!(result, Err(StageError::Failed { .. })) && !around.settings.keep_going {
            around.is_failed.store(true, Ordering::Relaxed);
        }
        Message::Done(self.place, result)
    }

    fn attempts(
        &self,
        around: Surroundings<'_>,
        sender: &Sender<Message>,
    ) -> Result<Arc<Summary>, StageError> {
        let _ = crate::base::fsx::remove_file(&around.store.log_path(self.node.key));
        let mut left = self.node.node.handling.retries.times;
        loop {
            match self.attempt(around, sender) {
                Err(error @ StageError::Failed { .. }) if left > 0 => {
                    left -= 1;
                    let _ = sender.send(Message::Retried(self.place, error));
                }
                result => return result,
            }
        }
    }

    fn attempt(
        &self,
        around: Surroundings<'_>,
        sender: &Sender<Message>,
    ) -> Result<Arc<Summary>, StageError> {
        let mut is_told = false;
        loop {
            match around
                .store
                .begin(self.node.key, self.is_forced, self.node.node.work.kind().resumes)
                .map_err(with_hint)?
            {
                Begin::Done(summary) => return Ok(summary),
                Begin::Mine(staging) => return self.build(around, *staging, sender),
                Begin::Busy if around.settings.cancelled.load(Ordering::Relaxed) => {
                    return Err(StageError::Cancelled);
                }
                Begin::Busy => {
                    if !std::mem::replace(&mut is_told, true) {
                        let _ = sender.send(Message::Waiting(self.place));
                    }
                    std::thread::sleep(POLL);
                }
            }
        }
    }

    fn build(
        &self,
        around: Surroundings<'_>,
        staging: Staging,
        sender: &Sender<Message>,
    ) -> Result<Arc<Summary>, StageError> {
        let work = &self.node.node.work;
        let (started, clock) = (now(), Instant::now());
        let cancel = self.cancel(around.settings.cancelled, clock);
        let context = Context {
            out: staging.out(),
            scratch: staging.scratch(),
            root: around.settings.root,
            local: around.settings.local,
            threads: self.threads,
            cancel,
            parts: &around.store.parts(),
            log: &around.store.log_path(self.node.key),
            report: &|report| drop(sender.send(Message::Reported(self.place, report))),
        };
        let kills = || if self.counts_kills { memory::kills() } else { None };
        let before = kills();
        let done = work
            .run(&self.inputs, &context)
            .and_then(|()| if kills() > before { Err(out_of_memory()) } else { Ok(()) });
        if let Err(error) = done {
            if !work.kind().resumes || !around.store.is_staged(self.node.key) {
                staging.discard()?;
            }
            return Err(self.blame_time(error, around.settings.cancelled, cancel));
        }
        let seconds = clock.elapsed().as_secs_f64();
        let provenance = Provenance {
            stage: format!("{}/{}", self.pipeline, self.node.node),
            started,
            seconds,
            threads: self.threads,
            ..around.settings.provenance.clone()
        };
        staging.commit(self.node.fields.clone(), self.digests.clone(), provenance).map_err(with_hint)
    }

    fn cancel<'c>(&self, stop: &'c AtomicBool, start: Instant) -> Cancel<'c> {
        Cancel::new(stop).by(self.node.node.handling.timeout.map(|timeout| start + timeout))
    }

    /// A stage only hears that it should end; here it is known whether the user or the clock wanted it.
    fn blame_time(&self, error: StageError, stop: &AtomicBool, cancel: Cancel<'_>) -> StageError {
        match (error, self.node.node.handling.timeout) {
            (StageError::Cancelled, Some(timeout)) if cancel.is_late() && !stop.load(Ordering::Relaxed) => {
                let text = format!("it took longer than its timeout of {} s", timeout.as_secs_f64());
                StageError::with_hint(text, "raise 'timeout', or find out what takes so long")
            }
            (error, _) => error,
        }
    }
}

/// A shell goes on when a program of a pipe is killed, and may end well.
fn out_of_memory() -> StageError {
    let text = "a process of it was killed for want of memory, so what it wrote is not believed";
    StageError::with_hint(text, "give it more memory, as in 'resources: { memory: 8 GiB }'")
}

/// Says what to do about a store that takes nothing.
fn with_hint(error: StoreError) -> StageError {
    let hint = match &error {
        StoreError::File(error) if error.is_not_allowed() => {
            "make the results folder writable, or choose another with '--results DIR'"
        }
        StoreError::File(error) if error.is_disk_full() => "make room, for example with 'layerwise gc'",
        _ => return error.into(),
    };
    StageError::with_hint(error, hint)
}

#[expect(clippy::disallowed_methods, reason = "provenance only: in the record, never in a key or an output")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
