//! What is known of an execution.

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::stage::{KeyFields, StageKey};

/// A finished execution: outputs hashed, immutable, complete.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Identity of the execution.
    pub key: StageKey,
    /// What went into the key.
    pub fields: KeyFields,
    /// Outputs, sorted by name.
    pub outputs: Vec<Output>,
    /// How it came about. Not part of any key or lock.
    pub provenance: Provenance,
}

/// A file of an artifact.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Its name in the artifact.
    pub name: String,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// How a result came about.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of this program.
    pub version: String,
    /// Revision of the project's repository, with `-dirty` if files were changed; empty if unknown.
    pub revision: String,
    /// Name of the machine.
    pub host: String,
    /// Threads used.
    pub threads: usize,
    /// Start, in seconds since 1970.
    pub started: u64,
    /// Duration of the last, uninterrupted part of the work.
    pub seconds: f64,
}

impl Record {
    /// Reads a record; `None` if the bytes are not one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The record as text, with a newline at the end.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record has string keys and finite numbers") + "\n"
    }
}
