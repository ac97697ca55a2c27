//! How nodes end.

use std::sync::Arc;

use crate::stage::StageError;
use crate::store::Summary;

/// How a wanted node ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was done before, or another execution had read the same.
    Cached(Arc<Summary>),
    /// It was done now.
    Built(Arc<Summary>),
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
    /// What it came to, if the node ended well.
    pub fn summary(&self) -> Option<&Arc<Summary>> {
        match self {
            Self::Cached(summary) | Self::Built(summary) => Some(summary),
            Self::Failed(_) | Self::Skipped { .. } | Self::Interrupted => None,
        }
    }
}
