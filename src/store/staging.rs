//! A result in the making, and the commit that turns it into one.
//!
//! Commit: hash each file → make it read-only → rename it into `objects` → write the record to a temporary name and rename it. **The
//! record is the only commit point**: a crash before it leaves an undone stage and perhaps a few unreferenced objects; a crash after
//! it leaves at most an empty staging folder.
//!
//! None of this waits for the disk: [`Store::flush`] does, for many commits at once. A power cut before it can tear what the last
//! commits wrote, but not unnoticed: objects are believed without being hashed only once the index says so, and the flush writes the
//! index last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::base::nonce::nonce;
use crate::stage::{KeyFields, StageKey};
use crate::store::claims::Claim;
use crate::store::lease::Lease;
use crate::store::record::{Output, Provenance, Record, Summary};
use crate::store::rooms::Room;
use crate::store::{Store, StoreError};

/// Folders to write in, with the lease on their key. Dropped without commit, those of work that resumes stay for a later run.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    key: StageKey,
    /// For work that does not resume.
    room: Option<Room>,
    folder: PathBuf,
    out: PathBuf,
    scratch: PathBuf,
    /// Let go last, when the record is there.
    lease: Option<Lease>,
    /// Likewise, between hosts.
    claim: Option<Claim>,
    /// Whether a record that came meanwhile stays.
    is_first_kept: bool,
}

impl Staging {
    pub(super) fn open(
        store: Store,
        key: StageKey,
        (lease, claim): (Lease, Option<Claim>),
        resumes: bool,
    ) -> Result<Self, StoreError> {
        let room = if resumes { None } else { Some(store.take_room()?) };
        let folder = room.as_ref().map_or_else(|| store.staging_path(key), |room| room.folder.clone());
        // Between hosts, one that was taken for dead may still write: nobody else writes where it does.
        let is_own = resumes && claim.is_some();
        let out = if is_own { folder.join(format!("out-{}", nonce())) } else { folder.join("out") };
        let scratch = folder.join("scratch");
        let is_first_kept = claim.is_some() && store.record(key)?.is_none();
        if resumes {
            fsx::create_dir_all(&out)?;
            fsx::create_dir_all(&scratch)?;
        }
        Ok(Self { store, key, room, folder, out, scratch, lease: Some(lease), claim, is_first_kept })
    }

    /// Where output files go.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Where the state of unfinished work goes.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Throws away what was written.
    pub fn discard(self) -> Result<(), StoreError> {
        if self.room.is_some() {
            return Ok(());
        }
        if self.claim.is_some() {
            fsx::remove_dir_all(&self.out)?;
            fsx::remove_dir_all(&self.scratch)?;
            return Ok(fsx::remove_empty_dir(&self.folder)?);
        }
        Ok(fsx::remove_dir_all(&self.folder)?)
    }

    /// Makes the files in `out` a result of an execution that read artifacts with these digests, in the order of the fields'
    /// inputs.
    pub fn commit(
        mut self,
        fields: KeyFields,
        inputs: Vec<Digest>,
        provenance: Provenance,
    ) -> Result<Arc<Summary>, StoreError> {
        let found = fsx::files_below(&self.out)?;
        let leaves_nothing = found.iter().all(|name| !name.contains('/') && !is_leftover(name));
        let outputs = self.admit_all(found.into_iter().filter(|name| !is_leftover(name)).collect())?;
        if let Some(room) = &mut self.room {
            room.is_out_empty = leaves_nothing;
        }
        if outputs.is_empty() {
            return Err(StoreError::NoOutput);
        }
        let content = fields.content_key(inputs.iter().copied());
        let record = Record { key: self.key, content: Some(content), fields, inputs, outputs, provenance };
        let summary =
            if self.is_first_kept { self.store.write_first(&record)? } else { self.store.write(&record)? };
        // The result is there; a folder that stays is for a collection to remove.
        let _ = self.discard();
        Ok(summary)
    }

    /// Few files are not worth waking other threads.
    fn admit_all(&self, names: Vec<String>) -> Result<Vec<Output>, StoreError> {
        const FEW: usize = 8;
        if names.len() <= FEW {
            return names.into_iter().map(|name| self.admit(name)).collect();
        }
        names.into_par_iter().map(|name| self.admit(name)).collect()
    }

    /// Moves one file among the objects.
    fn admit(&self, name: String) -> Result<Output, StoreError> {
        let path = self.out.join(&name);
        let metadata = fsx::link_metadata(&path)?;
        if !metadata.is_file() {
            return Err(StoreError::NotAFile { path });
        }
        let (digest, size) = Digest::of_file(&path)?;
        self.store.take_in(&path, &metadata, digest)?;
        Ok(Output { name, digest, size })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            self.store.give_back(room);
        }
        self.claim.take();
        if let Some(lease) = self.lease.take() {
            self.store.leases.give_back(lease);
        }
    }
}

/// What a killed `write_atomic` leaves.
fn is_leftover(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(fsx::is_temporary)
}
