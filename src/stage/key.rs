//! The identity of an execution.
//!
//! What enters a key, what is only recorded, and what is neither:
//!
//! | ingredient | key | record |
//! | --- | --- | --- |
//! | kind and its version | x | x |
//! | parameters, canonical, fields at their no-op defaults left out | x | x |
//! | path and digest of each declared file of the project | x | x |
//! | per slot, the key of each input (and, where a slot gathers, the input's coordinates) | x | x |
//! | numerics class (device, data type, kernel path and generation), of numeric kinds | x | x |
//! | digests of the inputs | content key | x |
//! | digests and sizes of the outputs | | x |
//! | git commit, version, host, times | | x |
//! | names and places of stages, URLs, resources, time limits, retries, threads | | |
//!
//! The rule: what affects the result is a parameter and is in the key; a resource, an observer or a hint is context
//! and is not. For `download` the parameters *are* the declared digests, so its URLs may change. Keys are pure: a function of
//! the pipeline and of the digests of its declared files.
//!
//! Early cutoff: the [`ContentKey`] is made by the same function with the *digests* of the inputs in the place of their keys. An
//! execution whose key is new but whose content key is known would give the same bytes, and is not done again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::canonical;
use crate::base::digest::{Digest, Fields};
use crate::stage::Kind;

/// Identity of an execution: equal keys, equal bytes. Only [`KeyFields`] makes a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageKey(Digest);

impl StageKey {
    /// As a digest.
    pub fn digest(&self) -> Digest {
        self.0
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        Digest::parse(text).map(Self)
    }

    /// The first 12 hex digits.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl From<Digest> for StageKey {
    /// Takes a key out of a name or a note that was made from one.
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of what an execution reads: known once its inputs are there. Only [`KeyFields`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentKey(Digest);

impl ContentKey {
    /// As a digest.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

/// A declared file or folder of the project, as it enters a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Relative to the folder of the pipeline.
    pub path: String,
    /// Of its content.
    pub digest: Digest,
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
    /// Declared files of the project, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sources: Vec<Source>,
    /// Inputs, sorted.
    pub inputs: Vec<InputKey>,
}

impl KeyFields {
    /// Gathers the ingredients; the order of `inputs` does not matter.
    pub fn new(
        kind: &Kind,
        parameters: serde_json::Value,
        numerics: &str,
        mut sources: Vec<Source>,
        mut inputs: Vec<InputKey>,
    ) -> Self {
        sources.sort();
        inputs.sort();
        Self {
            kind: kind.name.to_owned(),
            version: kind.version,
            numerics: kind.numeric.then(|| numerics.to_owned()),
            parameters,
            sources,
            inputs,
        }
    }

    /// Hashes the ingredients.
    pub fn key(&self) -> StageKey {
        let keys = self.inputs.iter().map(|input| input.key.0);
        StageKey(self.hash("layerwise stage key v1", keys))
    }

    /// Hashes the ingredients with the digests of the inputs' artifacts in the place of their keys; they are given in the order of
    /// `inputs`. That order is by key where one slot takes several, so it would say more than what is read: here it is by digest.
    pub fn content_key(&self, digests: impl Iterator<Item = Digest>) -> ContentKey {
        let mut read: Vec<_> = self
            .inputs
            .iter()
            .zip(digests)
            .map(|(input, digest)| (&input.slot, &input.coordinates, digest))
            .collect();
        read.sort();
        ContentKey(self.hash("layerwise content key v1", read.into_iter().map(|(_, _, digest)| digest)))
    }

    fn hash(&self, domain: &str, identities: impl Iterator<Item = Digest>) -> Digest {
        let mut fields = Fields::new(domain);
        fields.add("kind", self.kind.as_bytes());
        fields.add("version", &self.version.to_le_bytes());
        if let Some(numerics) = &self.numerics {
            fields.add("numerics", numerics.as_bytes());
        }
        fields.add("parameters", &canonical::bytes(&self.parameters));
        for source in &self.sources {
            fields.add("source", source.path.as_bytes());
            fields.add("digest", source.digest.bytes());
        }
        for (input, identity) in self.inputs.iter().zip(identities) {
            fields.add("slot", input.slot.as_bytes());
            fields.add("coordinates", input.coordinates.as_bytes());
            fields.add("input", identity.bytes());
        }
        fields.finish()
    }
}
