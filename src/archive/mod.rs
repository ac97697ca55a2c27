//! Results that outlive the machine: one file that others can open, check and run again without this program's store.
//!
//! An archive is a tar file, compressed by zstd, of one folder. That folder is at once a `BagIt` bag (RFC 8493: its manifests have the
//! SHA-256 of every file) and a workflow-run RO-Crate (who made what from what, for programs). Its payload is a project folder:
//!
//! ```text
//! <pipeline>/bagit.txt  bag-info.txt  tagmanifest-sha256.txt  manifest-sha256.txt    first: what is to come
//!            data/archive.json                          what this is: a `Description`
//!            data/pipelines/… datasets/… Cargo.lock     what the results were made from
//!            data/results/<pipeline>/…                  lock, tables, figures, verdicts
//!            data/results/store/v1/{objects,records}/…  the store, as far as the lock refers to it
//!            CITATION.cff  LICENSE  README.md  fetch.txt  ro-crate-metadata.json
//! ```
//!
//! The forms: pipeline and store → [`Contents`] (all that goes in, and what is left out) → [`Sealed`] (hashed, described) → file →
//! [`Holdings`] (every byte and every reference checked) → store.
//!
//! Why tar: it is read from front to end, so a reader checks each file against the manifest that came first, and never has two
//! opinions of what is in it, as with the two directories of a zip. The hash of `tagmanifest-sha256.txt` is an archive's identity;
//! that of the compressed file is not, as another zstd may compress otherwise.

mod bag;
mod contents;
mod holdings;
mod import;
mod paths;
mod pour;
mod problem;
mod provenance;
mod read;
mod readme;
mod seal;
mod stages;
mod volumes;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use contents::{Content, Contents, LeftOut, Made, MakeError, Published, Request};
pub use holdings::Holdings;
pub use import::{ImportError, Imported, import};
pub use problem::{Problem, ReadError};
pub use read::read;
pub use seal::Sealed;
pub use write::{Packing, write};

/// Format of an archive: raised when an older reader would misunderstand it.
pub const FORMAT: u32 = 1;

/// How much an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// All that the lock refers to.
    Everything,
    /// Not the datasets.
    WithoutData,
    /// Tables, figures and verdicts, and how they were made: no objects.
    Tables,
}

/// What an archive is: `data/archive.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// See [`FORMAT`].
    pub format: u32,
    /// Name of the pipeline.
    pub pipeline: String,
    /// What the pipeline says of itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The pipeline file, relative to the payload.
    pub file: String,
    /// The scale that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<String>,
    /// What was set beyond that, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, Value)>,
    /// The numerics class that the keys hold for.
    pub numerics: String,
    /// Revision of the project's repository, with `-dirty` if files were changed; empty if unknown.
    pub revision: String,
    /// How much is there.
    pub holds: Holds,
    /// Version of the program that wrote it.
    pub version: String,
}

/// The file of the project that a path in a bag stands for: not one of the results.
pub fn project_file(path: &str) -> Option<&str> {
    path.strip_prefix(paths::PAYLOAD)
        .filter(|_| path != paths::DESCRIPTION && !path.starts_with(paths::RESULTS))
}

/// Where a published file of a pipeline is in a bag.
pub fn published_path(pipeline: &str, name: &str) -> String {
    paths::result(pipeline, name)
}

/// The object that a path in a bag stands for.
pub fn object_of(path: &str) -> Option<crate::base::digest::Digest> {
    paths::as_object(path)
}
