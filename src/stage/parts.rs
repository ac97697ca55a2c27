//! Results smaller than a stage: the states that a training goes through, the probes of one evaluation.
//!
//! A part has a key of its own, so that another execution which comes by the same place takes it instead of working. Parts only
//! save work: an output must not depend on which of them are there.

use std::path::Path;
use std::sync::Mutex;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};

/// Where parts are kept. What is read was written whole: a torn or damaged part is not there.
pub trait Parts: Sync {
    /// All that was added under a key, in no particular order.
    fn read(&self, key: Digest) -> Result<Vec<Vec<u8>>, FileError>;
    /// Whether something was added under a key; cheaper than reading it, though it may be found damaged then.
    fn has(&self, key: Digest) -> bool;
    /// Adds something, durably; equal bytes are there once.
    fn add(&self, key: Digest, bytes: &[u8]) -> Result<(), FileError>;
    /// Removes all that was added under a key.
    fn remove(&self, key: Digest) -> Result<(), FileError>;

    /// Makes a file of the bytes that were added under a key, or says that there are none. The path is free; the file may share
    /// its bytes with the part, so it may be sealed, moved and removed, but not written to.
    fn place(&self, key: Digest, path: &Path) -> Result<bool, FileError> {
        let part = self.read(key)?.pop();
        part.map(|bytes| fsx::write_atomic(path, &bytes)).transpose().map(|placed| placed.is_some())
    }
}

/// Parts in memory: for a stage that is run by hand.
#[derive(Debug, Default)]
pub struct Memory(Mutex<std::collections::BTreeMap<Digest, Vec<Vec<u8>>>>);

impl Parts for Memory {
    fn read(&self, key: Digest) -> Result<Vec<Vec<u8>>, FileError> {
        Ok(self.0.lock().expect("no holder panics").get(&key).cloned().unwrap_or_default())
    }

    fn has(&self, key: Digest) -> bool {
        self.0.lock().expect("no holder panics").contains_key(&key)
    }

    fn add(&self, key: Digest, bytes: &[u8]) -> Result<(), FileError> {
        let mut parts = self.0.lock().expect("no holder panics");
        let parts = parts.entry(key).or_default();
        if !parts.iter().any(|part| part == bytes) {
            parts.push(bytes.to_vec());
        }
        Ok(())
    }

    fn remove(&self, key: Digest) -> Result<(), FileError> {
        self.0.lock().expect("no holder panics").remove(&key);
        Ok(())
    }
}
