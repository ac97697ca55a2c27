//! The threads that jobs run on: started as they are needed, never one per stage.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use crate::engine::job::{Job, Message, Surroundings};

/// Threads that wait for jobs.
pub(super) struct Workers<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    around: Surroundings<'env>,
    messages: Sender<Message>,
    jobs: Sender<Job<'env>>,
    queue: Arc<Mutex<Receiver<Job<'env>>>>,
    started: usize,
    /// Jobs that were handed out and have not sent their `Done`.
    busy: usize,
}

impl<'scope, 'env> Workers<'scope, 'env> {
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        around: Surroundings<'env>,
        messages: Sender<Message>,
    ) -> Self {
        let (jobs, queue) = channel();
        Self { scope, around, messages, jobs, queue: Arc::new(Mutex::new(queue)), started: 0, busy: 0 }
    }

    /// Hands out a job; starts a thread if all are busy.
    pub(super) fn give(&mut self, job: Job<'env>) {
        self.busy += 1;
        if self.busy > self.started {
            self.started += 1;
            let (around, messages, queue) = (self.around, self.messages.clone(), Arc::clone(&self.queue));
            self.scope.spawn(move || {
                while let Ok(job) = next(&queue) {
                    job.run(around, &messages);
                }
            });
        }
        self.jobs.send(job).expect("this holds a receiver too");
    }

    /// Takes notice of a `Done`.
    pub(super) fn take_back(&mut self) {
        self.busy -= 1;
    }

    /// Whether all jobs have ended.
    pub(super) fn are_idle(&self) -> bool {
        self.busy == 0
    }
}

/// Waits for a job; an error if there will be none.
fn next<'env>(queue: &Mutex<Receiver<Job<'env>>>) -> Result<Job<'env>, std::sync::mpsc::RecvError> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
}
