//! Results that come from elsewhere: laid beside the objects first, and taken in only when all of them were checked.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::stage::StageKey;
use crate::store::record::{Output, Record};
use crate::store::{Store, StoreError};

/// The part of a store with records of results that are elsewhere.
const ELSEWHERE: &str = "elsewhere";

/// A folder on the file system of a store, for objects that are checked before the store has them. Removed when dropped; one that a
/// killed process left is removed by a collection.
#[derive(Debug)]
pub struct Reception {
    store: Store,
    folder: PathBuf,
}

impl Store {
    /// Opens an empty folder for what comes.
    pub fn reception(&self) -> Result<Reception, StoreError> {
        let folder = self.root.join("staging").join(format!("received-{}", std::process::id()));
        fsx::clear_dir(&folder)?;
        Ok(Reception { store: self.clone(), folder })
    }

    /// Whether an object is here, and right: it is hashed.
    pub fn holds(&self, output: &Output) -> Result<bool, StoreError> {
        let path = self.object_path(output.digest);
        Ok(fsx::size(&path) == Some(output.size) && Digest::of_file(&path)?.0 == output.digest)
    }

    /// Keeps the record of a result whose bytes were left where they are: what was made from them is here.
    pub fn note_elsewhere(&self, key: StageKey, text: &[u8]) -> Result<(), StoreError> {
        Ok(fsx::place(&self.fan_out(ELSEWHERE, &key.to_string(), ".json"), text)?)
    }

    /// The record of a result whose bytes are elsewhere, if one was kept.
    pub fn elsewhere(&self, key: StageKey) -> Option<Record> {
        let text = fsx::read(&self.fan_out(ELSEWHERE, &key.to_string(), ".json")).ok()?;
        Record::of_stranger(&text, key)
    }

    /// Records of results elsewhere that nobody wants to keep.
    pub(super) fn dead_notes(&self, kept: &BTreeSet<StageKey>) -> Result<Vec<PathBuf>, StoreError> {
        let notes = self.named(ELSEWHERE, ".json")?.into_iter();
        let dead = notes.filter(|(digest, _)| !kept.contains(&StageKey::from(*digest)));
        Ok(dead.map(|(_, path)| path).collect())
    }

    /// Where copies of indices of remotes are.
    pub fn indices(&self) -> PathBuf {
        self.root.join("remote")
    }
}

impl Reception {
    /// Where an object is to be laid.
    pub fn path(&self, object: Digest) -> PathBuf {
        self.folder.join(object.to_string())
    }

    /// Takes in a record and its objects, which lie here and were checked, or are in the store already. The text is that of the
    /// record, as it was once written.
    pub fn admit(&self, record: &Record, text: &[u8]) -> Result<(), StoreError> {
        for output in &record.outputs {
            let here = self.path(output.digest);
            if fsx::size(&here).is_some() {
                self.store.take_in(&here, &fsx::metadata(&here)?, output.digest)?;
            }
        }
        fsx::place(&self.store.record_path(record.key), text)?;
        self.store.remember(record);
        Ok(())
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        let _ = fsx::remove_dir_all(&self.folder);
    }
}
