//! What turns bytes into results: objects, records, and the flush that puts both on the disk.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::base::nonce::nonce;
use crate::stage::KeyFields;
use crate::store::index::Entry;
use crate::store::{Provenance, Record, Store, StoreError, Summary};

/// Files, from which on a flush does not go from one to the next.
const MANY: usize = 64;

impl Store {
    /// Gives the outputs of an execution to another key that would have read the same.
    pub fn adopt(
        &self,
        fields: &KeyFields,
        inputs: Vec<Digest>,
        of: &Summary,
        provenance: Provenance,
    ) -> Result<Arc<Summary>, StoreError> {
        let record = Record {
            key: fields.key(),
            content: of.content,
            fields: fields.clone(),
            inputs,
            outputs: of.outputs.clone(),
            provenance: Provenance { same_as: Some(of.key), ..provenance },
        };
        self.write(&record)
    }

    /// Writes a record: from here on the result is there, and on the disk with the next flush.
    pub(super) fn write(&self, record: &Record) -> Result<Arc<Summary>, StoreError> {
        fsx::place(&self.record_path(record.key), record.to_text().as_bytes())?;
        Ok(self.remember(record))
    }

    /// Writes a record unless there is one; returns the summary of the one that is there then. Of two that were taken for dead, or
    /// for the only one, the first wins, and nobody sees another result of a key than before.
    pub(super) fn write_first(&self, record: &Record) -> Result<Arc<Summary>, StoreError> {
        let path = self.record_path(record.key);
        let temporary = path.with_file_name(format!(".{}.tmp", nonce()));
        fsx::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fsx::place(&temporary, record.to_text().as_bytes())?;
        let linked = fsx::hard_link(&temporary, &path);
        fsx::remove_file(&temporary)?;
        match linked {
            Ok(()) => Ok(self.remember(record)),
            Err(error) if error.is_there_already() => match self.record(record.key)? {
                Some(first) => Ok(self.remember(&first)),
                None => self.write(record), // one that is torn
            },
            // A file system without links.
            Err(_) => self.write(record),
        }
    }

    /// Waits until all that was committed is on the disk: objects, then records, then the index that vouches for both.
    pub fn flush(&self) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut *self.unflushed());
        let flushed = self.flush_these(&entries);
        if flushed.is_err() {
            self.unflushed().extend(entries);
        }
        flushed
    }

    fn flush_these(&self, entries: &[Entry]) -> Result<(), StoreError> {
        if entries.is_empty() || self.is_worker {
            return Ok(());
        }
        // Many files lie in hundreds of folders: one call for all is faster than one for each.
        let files: usize = entries.iter().map(|entry| 1 + entry.summary.outputs.len()).sum();
        if files < MANY || !fsx::sync_file_system(&self.root)? {
            let outputs = entries.iter().flat_map(|entry| &entry.summary.outputs);
            self.sync("objects", outputs.map(|output| self.object_path(output.digest)))?;
            self.sync("records", entries.iter().map(|entry| self.record_path(entry.summary.key)))?;
        }
        self.index().write(entries);
        Ok(())
    }

    /// Waits until files of a part of the store, and their names, are on the disk. One that is gone again needs no waiting for.
    fn sync(&self, part: &str, paths: impl Iterator<Item = PathBuf>) -> Result<(), StoreError> {
        let paths: BTreeSet<PathBuf> = paths.collect();
        for path in &paths {
            match fsx::sync_file(path) {
                Err(error) if error.is_not_found() => {}
                result => result?,
            }
        }
        let folders: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        folders.into_iter().try_for_each(fsx::sync_dir)?;
        Ok(fsx::sync_dir(&self.root.join(part))?)
    }

    /// Moves a file with this digest among the objects. One that is there already is not trusted, as others will trust it: a damaged one
    /// is replaced. A whole one stays: it may be on the disk, as the file is not.
    pub(super) fn take_in(&self, file: &Path, metadata: &Metadata, digest: Digest) -> Result<(), FileError> {
        let object = self.object_path(digest);
        if fsx::size(&object) == Some(metadata.len()) && Digest::of_file(&object)?.0 == digest {
            return fsx::remove_file(file);
        }
        fsx::set_readonly(file, metadata)?;
        fsx::move_to(file, &object)
    }

    /// Takes a record that was just written into the index: here at once, in the file when it is flushed.
    pub(super) fn remember(&self, record: &Record) -> Arc<Summary> {
        let summary = Arc::new(Summary::of(record));
        let objects = record.outputs.iter().map(|output| fsx::identity(&self.object_path(output.digest)));
        let record = fsx::identity(&self.record_path(record.key));
        let entry = Entry { summary: Arc::clone(&summary), record, objects: objects.collect() };
        self.index().insert(entry.clone());
        self.unflushed().push(entry);
        summary
    }
}
