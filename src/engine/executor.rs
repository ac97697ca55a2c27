//! Nodes that run elsewhere: the scheduler decides what runs, as for the local ones, and hands it to an executor.
//!
//! The store is the only channel between the two: a node that ran elsewhere succeeded if and only if its record is there. How an
//! executor goes about it (queues, hosts, resubmission) is not known here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use crate::base::digest::Digest;
use crate::engine::event::Event;
use crate::engine::job::{Message, Surroundings};
use crate::engine::outcome::Outcome;
use crate::engine::scheduler::{Schedule, State};
use crate::pipeline::KeyedNode;
use crate::stage::{Report, StageError};
use crate::store::{Store, Summary};

/// A node that is to run elsewhere: its inputs are there, and it must run.
#[derive(Clone)]
pub struct Task<'a> {
    /// Its place in the graph.
    pub place: usize,
    /// The node.
    pub node: &'a KeyedNode,
    /// Digests of the inputs' artifacts, in the order of the key's inputs.
    pub inputs: Vec<Digest>,
    /// Whether to do the work even if it is done.
    pub is_forced: bool,
}

/// What an executor tells of the node at a place.
pub enum Told {
    /// It is in a queue, under this name.
    Submitted(usize, String),
    /// It runs, on so many threads.
    Started(usize, usize),
    /// It tells how it goes.
    Reported(usize, Report),
    /// An attempt came to nothing, and another one follows.
    Retried(usize, StageError),
    /// Its end: the last that is told of it, exactly once.
    Done(usize, Result<Arc<Summary>, StageError>),
}

/// What an executor is told while it works.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The store.
    pub store: &'a Store,
    /// Set when the user wants to stop.
    pub cancelled: &'a AtomicBool,
    /// Set at the first failure, unless the user wants to keep going: nothing new is to start.
    pub failed: &'a AtomicBool,
}

/// Runs nodes elsewhere.
pub trait Executor: Sync {
    /// Whether it takes a node; one that it does not take runs here.
    fn takes(&self, node: &KeyedNode) -> bool;

    /// Takes tasks until there will be no more, and tells of each what comes of it.
    fn run(&self, tasks: &Receiver<Task<'_>>, around: Circumstances<'_>, tell: &dyn Fn(Told));
}

/// An executor at work, as the scheduler sees it.
pub(super) struct Executing<'env> {
    executor: &'env dyn Executor,
    tasks: Sender<Task<'env>>,
    /// Nodes that were given and have not ended.
    given: usize,
}

impl<'env> Executing<'env> {
    /// Starts the executor on a thread of its own.
    pub(super) fn start<'scope>(
        executor: &'env dyn Executor,
        scope: &'scope Scope<'scope, 'env>,
        around: Surroundings<'env>,
        messages: Sender<Message>,
    ) -> Self {
        let (tasks, receiver) = channel();
        let around = Circumstances {
            store: around.store,
            cancelled: around.settings.cancelled,
            failed: around.is_failed,
        };
        scope.spawn(move || {
            let tell = |told| drop(messages.send(Message::Told(told)));
            // However it ends, the scheduler must not wait for it.
            let ended = catch_unwind(AssertUnwindSafe(|| executor.run(&receiver, around, &tell)));
            let _ = messages.send(Message::Gone(ended.is_err()));
        });
        Self { executor, tasks, given: 0 }
    }

    pub(super) fn takes(&self, node: &KeyedNode) -> bool {
        self.executor.takes(node)
    }

    pub(super) fn give(&mut self, task: Task<'env>) {
        self.given += 1;
        // One that is gone has said so.
        let _ = self.tasks.send(task);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.given == 0
    }
}

impl Schedule<'_, '_> {
    /// Takes notice of what the executor tells.
    pub(super) fn hear(&mut self, told: Told, executing: Option<&mut Executing<'_>>) {
        let keyed = self.keyed;
        let node = |place: usize| &keyed.nodes[place];
        match told {
            Told::Submitted(place, job) => {
                self.observer.event(&Event::Submitted { node: node(place), job: &job });
            }
            Told::Started(place, threads) => {
                self.observer.event(&Event::Started { node: node(place), threads });
            }
            Told::Reported(place, report) => {
                self.observer.event(&Event::Reported { node: node(place), report: &report });
            }
            Told::Retried(place, error) => {
                self.observer.event(&Event::Retried { node: node(place), error: &error });
            }
            Told::Done(place, result) => {
                if let Some(executing) = executing {
                    executing.given -= 1;
                }
                if matches!(result, Err(StageError::Failed { .. })) && !self.around.settings.keep_going {
                    self.around.is_failed.store(true, Ordering::Relaxed);
                }
                self.end(place, result);
            }
        }
    }

    /// The executor told its last. What it did not end well or badly, nobody will.
    pub(super) fn abandon(&mut self, has_panicked: bool, mut executing: Option<&mut Executing<'_>>) {
        for place in 0..self.states.len() {
            if matches!(self.states[place], State::Sent) {
                if let Some(executing) = &mut executing {
                    executing.given -= 1;
                }
                let outcome = if has_panicked {
                    let error = StageError::with_hint(
                        "the executor panicked",
                        "report this as a bug of layerwise; jobs that were submitted go on",
                    );
                    self.failure(place, error)
                } else {
                    State::Ended(Outcome::Interrupted)
                };
                self.advance(place, outcome);
            }
        }
        self.decide_all();
    }
}
