//! What happens during a run, told to observers as it happens.

use crate::engine::outcome::Outcome;
use crate::pipeline::KeyedNode;
use crate::stage::{Report, StageError};

/// Something that happened. All events come from the thread that owns the schedule, in order.
pub enum Event<'a> {
    /// The plan is made: so many nodes are wanted, so many of them must run.
    Planned {
        /// Wanted nodes.
        wanted: usize,
        /// Those among them without a usable record.
        misses: usize,
    },
    /// A node is in a queue elsewhere.
    Submitted {
        /// The node.
        node: &'a KeyedNode,
        /// What it is called there.
        job: &'a str,
    },
    /// A node runs now.
    Started {
        /// The node.
        node: &'a KeyedNode,
        /// Threads it was given.
        threads: usize,
    },
    /// Another process is making what this node would make; this one waits.
    Waiting {
        /// The node.
        node: &'a KeyedNode,
    },
    /// An attempt failed, and the node is tried again.
    Retried {
        /// The node.
        node: &'a KeyedNode,
        /// Why the attempt failed.
        error: &'a StageError,
    },
    /// A running node tells how it goes.
    Reported {
        /// The node.
        node: &'a KeyedNode,
        /// What it tells.
        report: &'a Report,
    },
    /// A node reached its outcome.
    Ended {
        /// The node.
        node: &'a KeyedNode,
        /// The outcome.
        outcome: &'a Outcome,
        /// Whether the plan said that it is done: it is no news then that it is cached.
        is_foreseen: bool,
    },
}

/// Is told what happens.
pub trait Observer {
    /// Takes notice of an event.
    fn event(&mut self, event: &Event<'_>);
}

/// Each of them is told.
impl Observer for Vec<Box<dyn Observer>> {
    fn event(&mut self, event: &Event<'_>) {
        for observer in self {
            observer.event(event);
        }
    }
}
