//! Results that come from elsewhere: laid beside the objects first, and taken in only when all of them were checked.

use std::path::PathBuf;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::store::record::Record;
use crate::store::{Store, StoreError};

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
