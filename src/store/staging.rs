//! A result in the making, and the commit that turns it into one.
//!
//! Commit: hash each file → make it read-only → rename it into `objects` → sync files and folders → write the record to a temporary
//! name, sync, rename, sync the folder. **The record is the only commit point**: a crash before it leaves an undone stage and
//! perhaps a few unreferenced objects; a crash after it leaves at most an empty staging folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::stage::{KeyFields, StageKey};
use crate::store::lease::Lease;
use crate::store::record::{Output, Provenance, Record, Summary};
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

    /// Empties both folders, if an earlier execution left something: for kinds that cannot continue interrupted work.
    pub fn clear(&self) -> Result<(), StoreError> {
        for folder in [&self.out, &self.scratch] {
            if !fsx::list(folder)?.is_empty() {
                fsx::remove_dir_all(folder)?;
                fsx::create_dir_all(folder)?;
            }
        }
        Ok(())
    }

    /// Throws away what was written.
    pub fn discard(self) -> Result<(), StoreError> {
        Ok(fsx::remove_dir_all(&self.folder)?)
    }

    /// Makes the files in `out` a result of an execution that read artifacts with these digests, in the order of the fields'
    /// inputs.
    pub fn commit(
        self,
        fields: KeyFields,
        inputs: Vec<Digest>,
        provenance: Provenance,
    ) -> Result<Arc<Summary>, StoreError> {
        let names = fsx::files_below(&self.out)?.into_iter().filter(|name| !is_leftover(name));
        let outputs: Result<Vec<_>, _> =
            names.collect::<Vec<_>>().into_par_iter().map(|name| self.admit(name)).collect();
        let outputs = outputs?;
        if outputs.is_empty() {
            return Err(StoreError::NoOutput);
        }
        self.sync(&outputs)?;
        let content = fields.content_key(inputs.iter().copied());
        let record = Record { key: self.key, content: Some(content), fields, inputs, outputs, provenance };
        let summary = self.store.write(&record)?;
        // The result is there; a folder that stays is for a collection to remove.
        let _ = fsx::remove_dir_all(&self.folder);
        Ok(summary)
    }

    /// Moves one file among the objects.
    fn admit(&self, name: String) -> Result<Output, StoreError> {
        let path = self.out.join(&name);
        if !fsx::is_plain_file(&path) {
            return Err(StoreError::NotAFile { path });
        }
        let (digest, size) = Digest::of_file(&path)?;
        let object = self.store.object_path(digest);
        // An object that is there already is not trusted, as others will trust it: a damaged one is replaced.
        if fsx::size(&object) == Some(size) && Digest::of_file(&object)?.0 == digest {
            fsx::remove_file(&path)?;
        } else {
            fsx::create_dir_all(object.parent().expect("an object lies in a folder"))?;
            fsx::set_readonly(&path)?;
            fsx::rename(&path, &object)?;
        }
        Ok(Output { name, digest, size })
    }

    /// Waits until the outputs' bytes and names are on the disk, whoever wrote them.
    fn sync(&self, outputs: &[Output]) -> Result<(), StoreError> {
        let paths: Vec<_> = outputs.iter().map(|output| self.store.object_path(output.digest)).collect();
        paths.par_iter().try_for_each(|path| fsx::sync_file(path))?;
        let folders: BTreeSet<_> = paths.iter().filter_map(|path| path.parent()).collect();
        folders.into_iter().try_for_each(fsx::sync_dir)?;
        Ok(fsx::sync_dir(&self.store.root.join("objects"))?)
    }
}

/// What a killed `write_atomic` leaves.
fn is_leftover(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(fsx::is_temporary)
}
