//! Where results live: immutable objects named by content, one record per execution.
//!
//! ```text
//! v1/objects/ab/cdef…       bytes, named by BLAKE3, read-only
//!    records/ab/cdef….json  one per key
//!    staging/<key>/{out,scratch}   being written; kept after an interruption, so that training resumes
//!    leases/<key>           held by the process that is writing
//!    parts/ab/cdef…/<digest>   results smaller than a stage, under keys of their own
//!    logs/ab/cdef….txt      what a stage printed
//! ```
//!
//! Only a record makes a result: everything before it can be lost at any moment without harm. A change of format is a new
//! folder (`v2`), never a migration.

mod lease;
mod parts;
pub mod prefix;
pub mod record;
mod staging;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use lease::Lease;
pub use parts::PartStore;
pub use record::{Output, Provenance, Record};
pub use staging::Staging;

use crate::base::digest::Digest;
use crate::base::files::Files;
use crate::base::fsx::{self, FileError};
use crate::stage::StageKey;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error(transparent)]
    File(#[from] FileError),
    /// A stage wrote something that cannot be an output.
    #[error("the stage wrote '{}', which is not a plain file", path.display())]
    NotAFile {
        /// What it wrote.
        path: PathBuf,
    },
    /// A stage ended well but left no file.
    #[error("the stage ended without writing any file")]
    NoOutput,
}

/// A folder of results.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// Answer to the wish to do a piece of work.
#[derive(Debug)]
pub enum Begin {
    /// It is done already.
    Done(Record),
    /// It is ours to do. No write without this.
    Mine(Staging),
    /// Another process is at it.
    Busy,
}

impl Store {
    /// Opens the store under this folder, and creates it if it is not there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let root = folder.join("v1");
        for part in ["objects", "records", "staging", "leases"] {
            fsx::create_dir_all(&root.join(part))?;
        }
        Ok(Self { root })
    }

    /// Finds the record of a key, if there is one and all its objects are there.
    ///
    /// A record that cannot be read counts as none: the work is done again and writes it anew.
    pub fn lookup(&self, key: StageKey) -> Result<Option<Record>, StoreError> {
        let bytes = match fsx::read(&self.record_path(key)) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let record = Record::parse(&bytes).filter(|record| record.key == key);
        Ok(record.filter(|record| record.outputs.iter().all(|output| self.has(output))))
    }

    /// The first output of a key's record whose object is gone, to explain a miss.
    pub fn missing_object(&self, key: StageKey) -> Option<Output> {
        let record = Record::parse(&fsx::read(&self.record_path(key)).ok()?)?;
        record.outputs.into_iter().find(|output| !self.has(output))
    }

    /// Whether an interrupted run left something to continue from.
    pub fn is_staged(&self, key: StageKey) -> bool {
        let scratch = self.staging_path(key).join("scratch");
        let holds_something = |name: &String| fsx::size(&scratch.join(name)).is_some_and(|size| size > 0);
        fsx::list(&scratch).is_ok_and(|names| names.iter().any(holds_something))
    }

    /// Asks for a piece of work.
    pub fn begin(&self, key: StageKey) -> Result<Begin, StoreError> {
        let Some(lease) = Lease::take(&self.root.join("leases").join(key.to_string()))? else {
            return Ok(Begin::Busy);
        };
        // Looked up under the lease: another process may have finished between the plan and now.
        if let Some(record) = self.lookup(key)? {
            return Ok(Begin::Done(record));
        }
        Ok(Begin::Mine(Staging::open(self.clone(), key, lease)?))
    }

    /// Where parts are.
    pub fn parts(&self) -> PartStore {
        PartStore::new(self.root.join("parts"))
    }

    /// Where a stage writes what people want to read afterwards.
    pub fn log_path(&self, key: StageKey) -> PathBuf {
        self.fan_out("logs", &key.to_string(), ".txt")
    }

    /// The files of a record.
    pub fn files(&self, record: &Record) -> Files {
        let entry = |output: &Output| (output.name.clone(), self.object_path(output.digest));
        Files(record.outputs.iter().map(entry).collect::<BTreeMap<_, _>>())
    }

    /// Where the bytes with this digest are.
    pub fn object_path(&self, digest: Digest) -> PathBuf {
        self.fan_out("objects", &digest.to_string(), "")
    }

    fn has(&self, output: &Output) -> bool {
        fsx::size(&self.object_path(output.digest)) == Some(output.size)
    }

    fn record_path(&self, key: StageKey) -> PathBuf {
        self.fan_out("records", &key.to_string(), ".json")
    }

    fn staging_path(&self, key: StageKey) -> PathBuf {
        self.root.join("staging").join(key.to_string())
    }

    fn fan_out(&self, part: &str, hex: &str, extension: &str) -> PathBuf {
        let (folder, name) = hex.split_at(2);
        self.root.join(part).join(folder).join(format!("{name}{extension}"))
    }
}

#[cfg(test)]
mod tests;
