//! A result in the making, and the commit that turns it into one.
//!
//! Commit: hash each file → sync it, make it read-only → rename it into `objects` → sync the folders → write the record to a
//! temporary name, sync, rename. **The record is the only commit point**: a crash before it leaves an undone stage and
//! perhaps a few unreferenced objects; a crash after it leaves at most an empty staging folder.

use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::stage::{KeyFields, StageKey};
use crate::store::lease::Lease;
use crate::store::record::{Output, Provenance, Record};
use crate::store::{Store, StoreError};

/// A folder to write in, with the lease on its key. Dropped without commit, the folder stays for a later run.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    key: StageKey,
    folder: PathBuf,
    out: PathBuf,
    scratch: PathBuf,
    /// Let go last, when the record is there.
    _lease: Lease,
}

impl Staging {
    pub(super) fn open(store: Store, key: StageKey, lease: Lease) -> Result<Self, StoreError> {
        let folder = store.staging_path(key);
        let (out, scratch) = (folder.join("out"), folder.join("scratch"));
        fsx::create_dir_all(&out)?;
        fsx::create_dir_all(&scratch)?;
        Ok(Self { store, key, folder, out, scratch, _lease: lease })
    }

    /// Where output files go.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Where the state of unfinished work goes.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Empties both folders: for kinds that cannot continue interrupted work.
    pub fn clear(&self) -> Result<(), StoreError> {
        for folder in [&self.out, &self.scratch] {
            fsx::remove_dir_all(folder)?;
            fsx::create_dir_all(folder)?;
        }
        Ok(())
    }

    /// Throws away what was written.
    pub fn discard(self) -> Result<(), StoreError> {
        Ok(fsx::remove_dir_all(&self.folder)?)
    }

    /// Makes the files in `out` a result.
    pub fn commit(self, fields: KeyFields, provenance: Provenance) -> Result<Record, StoreError> {
        let mut outputs = Vec::new();
        for name in fsx::list(&self.out)?.into_iter().filter(|name| !is_leftover(name)) {
            outputs.push(self.admit(name)?);
        }
        if outputs.is_empty() {
            return Err(StoreError::NoOutput);
        }
        let mut folders: Vec<_> = outputs
            .iter()
            .filter_map(|o| Some(self.store.object_path(o.digest).parent()?.to_owned()))
            .collect();
        folders.sort();
        folders.dedup();
        for folder in &folders {
            fsx::sync_dir(folder)?;
        }
        fsx::sync_dir(&self.store.root.join("objects"))?;
        let record = Record { key: self.key, fields, outputs, provenance };
        let path = self.store.record_path(self.key);
        fsx::write_atomic(&path, record.to_text().as_bytes())?;
        fsx::sync_dir(path.parent().expect("a record lies in a folder"))?;
        fsx::remove_dir_all(&self.folder)?;
        Ok(record)
    }

    /// Moves one file among the objects.
    fn admit(&self, name: String) -> Result<Output, StoreError> {
        let path = self.out.join(&name);
        if fsx::size(&path).is_none() {
            return Err(StoreError::NotAFile { path });
        }
        let (digest, size) = Digest::of_file(&path)?;
        let object = self.store.object_path(digest);
        if fsx::size(&object) == Some(size) {
            fsx::remove_file(&path)?;
        } else {
            fsx::create_dir_all(object.parent().expect("an object lies in a folder"))?;
            fsx::seal(&path)?;
            fsx::rename(&path, &object)?;
        }
        Ok(Output { name, digest, size })
    }
}

/// Temporary names that a killed `write_atomic` leaves begin with a dot.
fn is_leftover(name: &str) -> bool {
    name.starts_with('.')
}
