//! The validated form of a pipeline: what `validate` gives and `matrix` unfolds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::name::{AxisName, StageName};
use crate::stage::{Kind, Slot};

/// A pipeline whose names all resolve; its parameters still hold references.
pub struct Pipeline {
    /// Its name: the folder under `results/`.
    pub name: String,
    /// Values of each axis.
    pub axes: BTreeMap<AxisName, Vec<Value>>,
    /// Values of `params`.
    pub parameters: BTreeMap<String, Value>,
    /// Stages, each after those it needs.
    pub stages: Vec<StageSpec>,
}

/// A named unit of the pipeline.
pub struct StageSpec {
    /// Its name.
    pub name: StageName,
    /// Its kind.
    pub kind: &'static Kind,
    /// Path of its parameters in the document, as in `stages.fit.train`.
    pub path: String,
    /// Its parameters, references unbound.
    pub parameters: Value,
    /// What it needs, by slot.
    pub needs: Vec<Need>,
}

/// A filled slot.
pub struct Need {
    /// The slot.
    pub slot: &'static Slot,
    /// The stages that fill it.
    pub stages: Vec<StageName>,
}
