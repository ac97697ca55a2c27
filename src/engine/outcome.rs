//! How nodes end.

use std::sync::Arc;

use crate::stage::StageError;
use crate::store::Record;

/// How a wanted node ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was done before.
    Cached(Arc<Record>),
    /// It was done now.
    Built(Arc<Record>),
    /// It failed.
    Failed(StageError),
    /// It could not run: this node, or one that it needed, failed.
    Skipped {
        /// The node that failed.
        because: String,
    },
    /// The user stopped the run before it was done.
    Interrupted,
}

impl Outcome {
    /// The record, if the node ended well.
    pub fn record(&self) -> Option<&Arc<Record>> {
        match self {
            Self::Cached(record) | Self::Built(record) => Some(record),
            Self::Failed(_) | Self::Skipped { .. } | Self::Interrupted => None,
        }
    }
}
