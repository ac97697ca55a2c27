//! Which nodes are wanted, and which of them must run, with the reason.

use std::fmt;
use std::sync::Arc;

use crate::pipeline::Keyed;
use crate::pipeline::target::{self, TargetError};
use crate::store::{Output, Record, Store, StoreError};

/// What is to be done about a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Nobody asked for it.
    Unwanted,
    /// It is done.
    Hit(Arc<Record>),
    /// It must run.
    Miss(Reason),
}

/// Why a node must run.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// No record has its key.
    New,
    /// It was begun and interrupted, and will continue.
    Interrupted,
    /// There is a record, but one of its objects is gone.
    ObjectMissing(Output),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("not run yet with these parameters and inputs"),
            Self::Interrupted => f.write_str("interrupted, continues"),
            Self::ObjectMissing(output) => {
                write!(f, "object {} ({}) is missing", output.digest.short(), output.name)
            }
        }
    }
}

/// The decision for every node, by its place in the graph; a node and its twin have the same.
#[derive(Debug)]
pub struct Plan {
    /// One status per node.
    pub statuses: Vec<Status>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A target means no node.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Plan {
    /// Makes the plan for some targets (`fit`, or `fit[seed=0]`), or for all nodes if none is named.
    pub fn new(keyed: &Keyed, store: &Store, targets: &[String]) -> Result<Self, PlanError> {
        let wanted = wanted(keyed, targets)?;
        let mut statuses: Vec<Status> = Vec::with_capacity(keyed.nodes.len());
        for (place, node) in keyed.nodes.iter().enumerate() {
            let status = match (wanted[place], node.twin) {
                (false, _) => Status::Unwanted,
                (true, twin) if twin != place => statuses[twin].clone(),
                (true, _) => status(node.key, store)?,
            };
            statuses.push(status);
        }
        Ok(Self { statuses })
    }

    /// How many nodes are wanted.
    pub fn wanted(&self) -> usize {
        self.statuses.iter().filter(|status| **status != Status::Unwanted).count()
    }

    /// How many nodes must run.
    pub fn misses(&self) -> usize {
        self.statuses.iter().filter(|status| matches!(status, Status::Miss(_))).count()
    }
}

fn status(key: crate::stage::StageKey, store: &Store) -> Result<Status, StoreError> {
    Ok(match store.lookup(key)? {
        Some(record) => Status::Hit(Arc::new(record)),
        None => Status::Miss(match store.missing_object(key) {
            Some(output) => Reason::ObjectMissing(output),
            None if store.is_staged(key) => Reason::Interrupted,
            None => Reason::New,
        }),
    })
}

fn wanted(keyed: &Keyed, targets: &[String]) -> Result<Vec<bool>, PlanError> {
    let mut wanted = target::select(keyed, targets)?;
    for place in (0..keyed.nodes.len()).rev() {
        if wanted[place] {
            wanted[keyed.nodes[place].twin] = true;
            keyed.needed(place).for_each(|needed| wanted[needed] = true);
        }
    }
    Ok(wanted)
}
