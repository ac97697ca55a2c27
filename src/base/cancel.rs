//! The wish that work should end early: the user's, or a time limit's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// To be asked often by whoever works: at least every 100 ms.
#[derive(Clone, Copy, Debug)]
pub struct Cancel<'a> {
    stop: &'a AtomicBool,
    deadline: Option<Instant>,
}

impl<'a> Cancel<'a> {
    /// Work without a time limit, which ends early when the flag is set.
    pub fn new(stop: &'a AtomicBool) -> Self {
        Self { stop, deadline: None }
    }

    /// The same, with a time limit.
    #[must_use]
    pub fn by(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// Whether the work should end now.
    pub fn is_set(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.is_late()
    }

    /// Whether the time limit has passed.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// When the work must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
