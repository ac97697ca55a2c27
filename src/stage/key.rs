//! The identity of an execution.
//!
//! What enters a key, what is only recorded, and what is neither:
//!
//! | ingredient | key | record |
//! | --- | --- | --- |
//! | kind and its version | x | x |
//! | parameters, canonical, fields at their no-op defaults left out | x | x |
//! | per slot, the key of each input (and, where a slot gathers, the input's coordinates) | x | x |
//! | numerics class (device, data type, kernel path and generation), of numeric kinds | x | x |
//! | digests and sizes of the outputs | | x |
//! | git commit, version, host, times | | x |
//! | names and places of stages, URLs, jobs, threads, log level | | |
//!
//! The rule: what affects the result is a parameter and is in the key; a resource, an observer or a hint is context
//! and is not. For `download` the parameters *are* the declared digests, so its URLs may change. Keys are pure: no disk
//! is touched. (Early cutoff will look up a second key, made by the same function from input *digests*.)

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::canonical;
use crate::base::digest::{Digest, Fields};
use crate::stage::Kind;

/// Identity of an execution: equal keys, equal bytes. Only [`KeyFields`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageKey(Digest);

impl StageKey {
    /// The first 12 hex digits.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One input as it enters a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct InputKey {
    /// The slot.
    pub slot: String,
    /// `seed=0,width=256` where the slot gathers axes; empty otherwise.
    pub coordinates: String,
    /// Key of the stage that makes it.
    pub key: StageKey,
}

/// The ingredients of a key, readable: the same value is hashed, recorded and explained.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeyFields {
    /// Kind of work.
    pub kind: String,
    /// Version of the kind.
    pub version: u32,
    /// Numerics class, of numeric kinds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub numerics: Option<String>,
    /// Parameters.
    pub parameters: serde_json::Value,
    /// Inputs, sorted.
    pub inputs: Vec<InputKey>,
}

impl KeyFields {
    /// Gathers the ingredients; the order of `inputs` does not matter.
    pub fn new(
        kind: &Kind,
        parameters: serde_json::Value,
        numerics: &str,
        mut inputs: Vec<InputKey>,
    ) -> Self {
        inputs.sort();
        Self {
            kind: kind.name.to_owned(),
            version: kind.version,
            numerics: kind.numeric.then(|| numerics.to_owned()),
            parameters,
            inputs,
        }
    }

    /// Hashes the ingredients.
    pub fn key(&self) -> StageKey {
        let mut fields = Fields::new("layerwise stage key v1");
        fields.add("kind", self.kind.as_bytes());
        fields.add("version", &self.version.to_le_bytes());
        if let Some(numerics) = &self.numerics {
            fields.add("numerics", numerics.as_bytes());
        }
        fields.add("parameters", &canonical::bytes(&self.parameters));
        for input in &self.inputs {
            fields.add("slot", input.slot.as_bytes());
            fields.add("coordinates", input.coordinates.as_bytes());
            fields.add("input", input.key.0.bytes());
        }
        StageKey(fields.finish())
    }
}
