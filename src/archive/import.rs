//! Takes the results of an archive into a store: all of them, checked, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::archive::holdings::Holdings;
use crate::archive::paths;
use crate::archive::problem::ReadError;
use crate::archive::read::read;
use crate::base::digest::Digest;
use crate::base::signature::Trusted;
use crate::store::{Found, Output, Record, Store, StoreError};

/// What came of an import.
pub struct Imported {
    /// What the archive holds.
    pub holdings: Holdings,
    /// Results that the store has now and had not before.
    pub new: usize,
    /// Results that it had.
    pub known: usize,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The archive is not right.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has no objects.
    #[error("the archive has tables only, no results that a store could take")]
    NothingThere,
    /// The same key has other bytes in the store.
    #[error("the store has another result of stage '{stage}' under the same key: '{file}' differs")]
    Contradiction {
        /// The node.
        stage: String,
        /// The first output that differs.
        file: String,
    },
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks an archive, and its signature if keys are trusted, and takes its results into a store.
pub fn import(
    file: &Path,
    store: &Store,
    trusted: Option<&Trusted>,
    progress: &dyn Fn(u64, u64),
) -> Result<Imported, ImportError> {
    let reception = store.reception()?;
    let holdings = read(file, trusted, &|path| Some(reception.path(paths::as_object(path)?)), progress)?;
    if holdings.whole.is_empty() {
        return Err(ImportError::NothingThere);
    }
    let (mut new, mut known) = (BTreeMap::new(), BTreeSet::new());
    for (stage, entry) in &holdings.lock.stages {
        if !holdings.whole.contains(&entry.key) {
            continue;
        }
        let (record, text) = &holdings.records[&entry.key];
        // A record whose objects are lost or damaged is no result; it is replaced.
        match store.find(entry.key)? {
            Found::Whole(summary) if summary.outputs == record.outputs => _ = known.insert(entry.key),
            Found::Whole(summary) => {
                let stage = stage.clone();
                return Err(ImportError::Contradiction { stage, file: differing(&summary.outputs, record) });
            }
            _ => _ = new.insert(entry.key, (record, text)),
        }
    }
    new.values().try_for_each(|(record, text)| reception.admit(record, text))?;
    store.flush()?;
    store
        .note_run(&holdings.lock.pipeline, &holdings.records.keys().copied().collect())
        .map_err(StoreError::from)?;
    let new = new.len();
    drop(reception);
    Ok(Imported { holdings, new, known: known.len() })
}

fn differing(kept: &[Output], record: &Record) -> String {
    let kept: BTreeMap<&str, Digest> = kept.iter().map(|o| (o.name.as_str(), o.digest)).collect();
    let is_other = |output: &&Output| kept.get(output.name.as_str()) != Some(&output.digest);
    record.outputs.iter().find(is_other).map_or_else(String::new, |output| output.name.clone())
}
