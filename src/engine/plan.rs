//! Which nodes are wanted, and which of them must run, with the reason.
//!
//! A plan is a prediction: a node whose inputs must run first is decided when they are there, by the same rule
//! ([`Summary::read_these`]), and may then turn out to be done (early cutoff).

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::digest::Digest;
use crate::pipeline::Keyed;
use crate::pipeline::target::{self, TargetError};
use crate::stage::StageKey;
use crate::store::{Found, Output, Store, StoreError, Summary};

/// What is to be done about a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Nobody needs it.
    Unwanted,
    /// It is done.
    Hit(Arc<Summary>),
    /// It is done, but its bytes are elsewhere.
    Elsewhere(Arc<Summary>),
    /// It must run.
    Miss(Reason),
}

impl Status {
    /// What it came to, if it is done.
    pub fn summary(&self) -> Option<&Arc<Summary>> {
        match self {
            Self::Hit(summary) | Self::Elsewhere(summary) => Some(summary),
            Self::Unwanted | Self::Miss(_) => None,
        }
    }
}

/// Why a node must run.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// No record has its key. [`explain`](crate::engine::explain) says what is new.
    New,
    /// It was begun and interrupted, and will continue.
    Interrupted,
    /// There is a record, but one of its objects is gone.
    ObjectMissing(Output),
    /// There is a record, but the bytes of one of its objects are not what they were.
    ObjectDamaged(Output),
    /// There is a record, made from other bytes than its inputs have now.
    OtherInput,
    /// The user wants it done again.
    Forced,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("not run yet"),
            Self::Interrupted => f.write_str("interrupted, continues"),
            Self::ObjectMissing(output) => {
                write!(f, "object {} ({}) is missing", output.digest.short(), output.name)
            }
            Self::ObjectDamaged(output) => {
                write!(f, "object {} ({}) is damaged", output.digest.short(), output.name)
            }
            Self::OtherInput => f.write_str("an input was made again with other bytes"),
            Self::Forced => f.write_str("forced"),
        }
    }
}

/// What to plan for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Stages (`fit`) or nodes (`fit[seed=0]`); all if there is none.
    pub targets: Vec<String>,
    /// Those that are to be done again, whether or not they are done.
    pub force: Vec<String>,
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
    /// Makes the plan.
    pub fn new(keyed: &Keyed, store: &Store, wish: &Wish) -> Result<Self, PlanError> {
        Self::with(keyed, store, wish, &|_| None)
    }

    /// Makes the plan, where results that the store lacks may be known to be elsewhere.
    pub fn with(
        keyed: &Keyed,
        store: &Store,
        wish: &Wish,
        elsewhere: &dyn Fn(StageKey) -> Option<Arc<Summary>>,
    ) -> Result<Self, PlanError> {
        let targets = target::select(keyed, &wish.targets)?;
        let forced = match wish.force.as_slice() {
            [] => vec![false; keyed.nodes.len()],
            force => target::select(keyed, force)?,
        };
        let closure = with_needed(keyed, &targets, |_| true);
        let found = find(keyed, store, &closure)?;
        // What was learnt of objects saves time later; a store that may only be read forgets it.
        let _ = store.flush();
        let mut statuses: Vec<Status> = Vec::with_capacity(keyed.nodes.len());
        for (place, found) in found.into_iter().enumerate() {
            let twin = keyed.nodes[place].twin;
            statuses.push(match found {
                _ if twin != place => statuses[twin].clone(),
                None => Status::Unwanted,
                Some(_) if forced[place] => Status::Miss(Reason::Forced),
                Some(Found::Whole(summary)) if agrees(keyed, place, &statuses, &summary) => {
                    Status::Hit(summary)
                }
                Some(_)
                    if let Some(summary) = elsewhere(keyed.nodes[place].key)
                        && agrees(keyed, place, &statuses, &summary) =>
                {
                    Status::Elsewhere(summary)
                }
                Some(Found::Whole(_)) => Status::Miss(Reason::OtherInput),
                Some(Found::Missing(output)) => Status::Miss(Reason::ObjectMissing(output)),
                Some(Found::Damaged(output)) => Status::Miss(Reason::ObjectDamaged(output)),
                Some(Found::Nothing) if is_begun(keyed, place, store) => Status::Miss(Reason::Interrupted),
                Some(Found::Nothing) => Status::Miss(Reason::New),
            });
        }
        // What only done stages need is not needed.
        let needed = with_needed(keyed, &targets, |place| matches!(statuses[place], Status::Miss(_)));
        for (status, is_needed) in statuses.iter_mut().zip(needed) {
            if !is_needed {
                *status = Status::Unwanted;
            }
        }
        Ok(Self { statuses })
    }

    /// Places of nodes whose bytes are elsewhere and needed here: those that somebody `looks_at`, and those that a node reads that
    /// runs, or may when its other inputs turn out to be others.
    pub fn needed_here(&self, keyed: &Keyed, looks_at: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut is_open = vec![false; keyed.nodes.len()];
        let mut is_needed: Vec<bool> = (0..keyed.nodes.len()).map(looks_at).collect();
        for (place, node) in keyed.nodes.iter().enumerate().filter(|(place, node)| node.twin == *place) {
            let is_wanted = self.statuses[place] != Status::Unwanted;
            let reads_open = || node.inputs.iter().any(|input| is_open[keyed.nodes[*input].twin]);
            is_open[place] = is_wanted && (matches!(self.statuses[place], Status::Miss(_)) || reads_open());
            if is_open[place] {
                node.inputs.iter().for_each(|input| is_needed[*input] = true);
            }
        }
        let is_elsewhere = |place: &usize| matches!(self.statuses[*place], Status::Elsewhere(_));
        (0..keyed.nodes.len()).filter(|place| is_needed[*place]).filter(is_elsewhere).collect()
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

/// Whether an interrupted run left something to continue from.
fn is_begun(keyed: &Keyed, place: usize, store: &Store) -> bool {
    let node = &keyed.nodes[place];
    node.node.work.kind().resumes && store.is_staged(node.key)
}

/// Whether a result was made from what the node's inputs are now. Inputs that are not there cannot contradict.
fn agrees(keyed: &Keyed, place: usize, statuses: &[Status], summary: &Summary) -> bool {
    let artifact = |input: &usize| statuses[*input].summary().map(|summary| summary.artifact);
    let present: Option<Vec<Digest>> = keyed.nodes[place].inputs.iter().map(artifact).collect();
    present.is_none_or(|inputs| summary.read_these(&inputs))
}

/// Looks up the nodes of a closure; a twin is looked up at its first place.
fn find(keyed: &Keyed, store: &Store, closure: &[bool]) -> Result<Vec<Option<Found>>, StoreError> {
    let find = |(place, is_wanted): (usize, &bool)| {
        let node = &keyed.nodes[place];
        (*is_wanted && node.twin == place).then(|| store.find(node.key)).transpose()
    };
    closure.par_iter().enumerate().with_min_len(256).map(find).collect()
}

/// Some nodes, their twins, and what those of them need that ask for their inputs.
fn with_needed(keyed: &Keyed, nodes: &[bool], asks: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut all = nodes.to_vec();
    for place in (0..all.len()).rev() {
        if all[place] {
            all[keyed.nodes[place].twin] = true;
            if asks(place) {
                keyed.nodes[place].inputs.iter().for_each(|input| all[*input] = true);
            }
        }
    }
    all
}
