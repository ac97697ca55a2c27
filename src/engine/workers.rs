//! The threads that jobs run on: started as they are needed, never one per stage.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use crate::engine::job::{Job, Message, Surroundings};

/// Threads that take jobs in the order in which they were given.
pub(super) struct Workers<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    around: Surroundings<'env>,
    messages: Sender<Message>,
    queue: Arc<Queue<'env>>,
    started: usize,
    most: usize,
    /// Jobs that were given and have not sent their last message.
    given: usize,
}

impl<'scope, 'env> Workers<'scope, 'env> {
    /// No threads yet, and never more than `most`.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        around: Surroundings<'env>,
        most: usize,
        messages: Sender<Message>,
    ) -> Self {
        Self { scope, around, messages, queue: Arc::default(), started: 0, most, given: 0 }
    }

    /// Hands out a job; starts a thread if all are busy and there may be more.
    pub(super) fn give(&mut self, job: Job<'env>) {
        self.given += 1;
        if self.given > self.started && self.started < self.most {
            self.started += 1;
            let (around, messages, queue) = (self.around, self.messages.clone(), Arc::clone(&self.queue));
            self.scope.spawn(move || {
                let mut next = queue.next();
                while let Some(job) = next {
                    let last = job.run(around, &messages);
                    // Taken before the scheduler hears of the end: it is woken once for that and the next one's start.
                    let ready = queue.ready();
                    let _ = messages.send(last);
                    next = ready.or_else(|| queue.next());
                }
            });
        }
        self.queue.push(job);
    }

    /// Takes notice of a job's last message.
    pub(super) fn take_back(&mut self) {
        self.given -= 1;
    }

    /// Whether all jobs have ended.
    pub(super) fn are_idle(&self) -> bool {
        self.given == 0
    }
}

impl Drop for Workers<'_, '_> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Jobs that no thread has taken yet.
#[derive(Default)]
struct Queue<'env> {
    state: Mutex<State<'env>>,
    news: Condvar,
}

#[derive(Default)]
struct State<'env> {
    jobs: VecDeque<Job<'env>>,
    is_closed: bool,
}

impl<'env> Queue<'env> {
    fn push(&self, job: Job<'env>) {
        self.lock().jobs.push_back(job);
        self.news.notify_one();
    }

    /// Waits for a job; `None` if there will be none.
    fn next(&self) -> Option<Job<'env>> {
        let nothing = |state: &mut State<'env>| state.jobs.is_empty() && !state.is_closed;
        let mut state = self.news.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        state.jobs.pop_front()
    }

    /// A job, if there is one.
    fn ready(&self) -> Option<Job<'env>> {
        self.lock().jobs.pop_front()
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<'env>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
