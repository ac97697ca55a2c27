//! What a plan needs to know of all records, in one file that is read at once: reading 10,000 records takes longer than a plan may.
//!
//! The index is a journal beside the records, and is never the truth: an entry counts only as long as the record's own file is the
//! one that it was made from, a record that it lacks is read, and without the file it is made anew from the records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::fsx::{self, FileError, Identity};
use crate::base::journal;
use crate::stage::StageKey;
use crate::stage::key::ContentKey;
use crate::store::record::{Record, Summary};

/// A summary, the identity of the record that it was made from, and the identity that each object had when its content was last
/// known to be right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) summary: Arc<Summary>,
    pub(super) record: Option<Identity>,
    pub(super) objects: Vec<Option<Identity>>,
}

/// So many entries may be out of date, beside one for each that is not, before the file is written anew.
const MANY: usize = 100;

/// The entries, by key and by content.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    by_key: BTreeMap<StageKey, Entry>,
    by_content: BTreeMap<ContentKey, StageKey>,
}

impl Index {
    /// Reads the index, or makes it from the records if it is not there or not whole.
    pub(super) fn open(path: PathBuf, records: &Path) -> Result<Self, FileError> {
        let journal = journal::read::<Entry>(&path)?;
        let (is_lost, count) = (journal.entries.is_empty() || !journal.is_whole, journal.entries.len());
        let mut index = Self { path, by_key: BTreeMap::new(), by_content: BTreeMap::new() };
        let entries = journal.entries.into_iter().chain(if is_lost { scan(records)? } else { Vec::new() });
        entries.for_each(|entry| index.insert(entry));
        let is_stale = count > 2 * index.by_key.len() + MANY;
        if is_stale || is_lost && !index.by_key.is_empty() {
            index.rewrite();
        }
        Ok(index)
    }

    /// Knows nothing: what is asked for is read from the records.
    pub(super) fn empty(path: PathBuf) -> Self {
        Self { path, by_key: BTreeMap::new(), by_content: BTreeMap::new() }
    }

    pub(super) fn get(&self, key: StageKey) -> Option<Entry> {
        self.by_key.get(&key).cloned()
    }

    /// The key of an execution that read this.
    pub(super) fn by_content(&self, content: ContentKey) -> Option<StageKey> {
        self.by_content.get(&content).copied()
    }

    /// All summaries, in the order of their keys.
    pub(super) fn summaries(&self) -> Vec<Arc<Summary>> {
        self.by_key.values().map(|entry| Arc::clone(&entry.summary)).collect()
    }

    /// Adds entries to the file. One that cannot be written (of a store that may only be read, say) is no reason to stop: the index
    /// only saves time.
    pub(super) fn write(&self, entries: &[Entry]) {
        let _ = journal::append(&self.path, entries);
    }

    /// Forgets some entries, here and in the file.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Summary) -> bool) {
        self.by_key.retain(|_, entry| is_kept(&entry.summary));
        let by_key = &self.by_key;
        self.by_content.retain(|_, key| by_key.contains_key(key));
        self.rewrite();
    }

    /// Adds an entry here, not in the file.
    pub(super) fn insert(&mut self, entry: Entry) {
        if let Some(content) = entry.summary.content {
            self.by_content.insert(content, entry.summary.key);
        }
        self.by_key.insert(entry.summary.key, entry);
    }

    fn rewrite(&self) {
        let _ = journal::replace(&self.path, &self.by_key.values().collect::<Vec<_>>());
    }
}

/// Reads all records. Their objects' identities are not known yet.
fn scan(records: &Path) -> Result<Vec<Entry>, FileError> {
    let mut entries = Vec::new();
    for path in fsx::files_below(records)? {
        let path = records.join(path);
        let record = Record::parse(&fsx::read(&path)?);
        entries.extend(record.map(|record| Entry {
            objects: vec![None; record.outputs.len()],
            summary: Arc::new(Summary::of(&record)),
            record: fsx::identity(&path),
        }));
    }
    Ok(entries)
}
