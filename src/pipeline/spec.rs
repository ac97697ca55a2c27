//! The validated form of a pipeline: what `validate` gives and `matrix` unfolds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::base::name::{AxisName, StageName};
use crate::pipeline::scalar;
use crate::stage::{Kind, Slot};

/// A pipeline whose names all resolve; its parameters still hold references.
pub struct Pipeline {
    /// Its name: the folder under `results/`.
    pub name: String,
    /// What the axes may be together: any row of the first factor with any row of the second, and so on.
    pub factors: Vec<Factor>,
    /// Values of `params`.
    pub parameters: BTreeMap<String, Value>,
    /// Names of its scales.
    pub scales: Vec<String>,
    /// Stages, each after those it needs.
    pub stages: Vec<StageSpec>,
}

/// Axes that vary together, independently of all others: a plain axis, a zip, or a matrix with exclusions.
#[derive(Debug)]
pub struct Factor {
    /// The axes, sorted.
    pub axes: Vec<AxisName>,
    /// The allowed combinations, each with a value per axis; no two are equal.
    pub rows: Vec<Vec<Value>>,
}

/// A named unit of the pipeline.
pub struct StageSpec {
    /// Its name.
    pub name: StageName,
    /// Its kind.
    pub kind: &'static Kind,
    /// The file in which it stands.
    pub file: usize,
    /// Path of its parameters in that file, as in `stages.fit.train`.
    pub path: String,
    /// Its parameters, references unbound.
    pub parameters: Value,
    /// What it says of itself for people; an axis may be mentioned there, and be in no key.
    pub about: Value,
    /// What it needs, by slot.
    pub needs: Vec<Need>,
    /// How it is to be run.
    pub handling: Handling,
}

impl StageSpec {
    /// The axes that it mentions.
    pub fn mentions(&self) -> BTreeSet<AxisName> {
        &scalar::axes(&self.parameters) | &scalar::axes(&self.about)
    }
}

/// How a stage is to be run; nothing of it affects the result.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Handling {
    /// What it occupies while it runs.
    pub resources: Resources,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How it is tried again.
    pub retries: Retries,
}

/// How a stage is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retries {
    /// How often after a failure of its own.
    pub times: u32,
    /// On a cluster, with how much more memory after it ran out of that.
    pub memory: Option<Growth>,
    /// On a cluster, with how much more time after it ran out of that.
    pub time: Option<Growth>,
}

/// What an amount is multiplied by, in hundredths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Growth(pub u32);

impl Growth {
    /// The amount, so many times multiplied; what is too large stays at the largest.
    pub fn grow(self, amount: u64, times: u32) -> u64 {
        (0..times).fold(amount, |amount, _| {
            u64::try_from(u128::from(amount) * u128::from(self.0) / 100).unwrap_or(u64::MAX)
        })
    }
}

/// What a stage occupies while it runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resources {
    /// Cores; a numeric stage without a number shares those that are free, another one takes one.
    pub cores: Option<usize>,
    /// Bytes of memory.
    pub memory: u64,
    /// GPUs.
    pub gpu: u32,
    /// What only a cluster asks for.
    pub queue: Option<Arc<Queue>>,
}

/// What a stage asks of a cluster's scheduler; on one machine it means nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Queue {
    /// How long its job may take.
    pub time: Option<Duration>,
    /// Where it is queued.
    pub partition: Option<String>,
    /// Who pays.
    pub account: Option<String>,
    /// Further arguments, as the scheduler's own command takes them.
    pub extra: Vec<String>,
}

/// A filled slot.
pub struct Need {
    /// The slot.
    pub slot: Slot,
    /// The stages that fill it.
    pub stages: Vec<StageName>,
}
