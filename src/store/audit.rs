//! A look at everything: every object is hashed, every record read.
//!
//! Never here: what a lock says (the engine compares that), and a change of the store, but for [`Store::repair`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::stage::StageKey;
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// What is wrong with a file of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// An object that a record names, and whose bytes are not those of its name. One that no record names is what a power cut
    /// left of a commit: the next commit of the same bytes replaces it.
    Damaged(Digest),
    /// An object that a record names is not there.
    Missing(Digest),
    /// A record that cannot be read, or is not that of its name.
    Unreadable(PathBuf),
}

/// What a look at everything found.
#[derive(Debug, Default)]
pub struct Audit {
    /// How many objects were hashed.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Records that can be read.
    pub records: Vec<Record>,
    /// What is wrong, sorted by kind of trouble.
    pub troubles: Vec<Trouble>,
}

impl Audit {
    /// The executions that an object is an output of.
    pub fn makers(&self, object: Digest) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.outputs.iter().any(|output| output.digest == object))
    }
}

impl Store {
    /// Hashes every object and reads every record. `progress` is told the bytes hashed and the bytes in all, from many threads.
    pub fn audit(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Audit, StoreError> {
        let objects = self.named("objects", "")?;
        let sizes: BTreeMap<Digest, u64> =
            objects.iter().map(|(digest, path)| (*digest, fsx::size(path).unwrap_or(0))).collect();
        let (total, done) = (sizes.values().sum(), AtomicU64::new(0));
        let check = |(digest, path): &(Digest, PathBuf)| {
            let is_right = Digest::of_file(path).is_ok_and(|(found, _)| found == *digest);
            let done = done.fetch_add(sizes[digest], Ordering::Relaxed) + sizes[digest];
            progress(done, total);
            (!is_right).then_some(*digest)
        };
        let damaged: BTreeSet<Digest> = objects.par_iter().filter_map(check).collect();
        let (mut records, mut troubles, mut named) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (digest, path) in self.named("records", ".json")? {
            let record = fsx::read(&path).ok().and_then(|bytes| Record::parse(&bytes));
            let Some(record) = record.filter(|record| record.key == StageKey::from(digest)) else {
                troubles.push(Trouble::Unreadable(path));
                continue;
            };
            named.extend(record.outputs.iter().map(|output| output.digest));
            records.push(record);
        }
        troubles.extend(damaged.intersection(&named).copied().map(Trouble::Damaged));
        troubles.extend(named.into_iter().filter(|d| !sizes.contains_key(d)).map(Trouble::Missing));
        Ok(Audit { objects: objects.len() as u64, bytes: total, records, troubles })
    }

    /// Moves damaged objects out of the way and removes records that cannot be read or have lost an object, so that the next run
    /// makes them anew.
    pub fn repair(&self, audit: &Audit) -> Result<(), StoreError> {
        for trouble in &audit.troubles {
            match trouble {
                Trouble::Damaged(digest) | Trouble::Missing(digest) => {
                    audit
                        .makers(*digest)
                        .try_for_each(|record| fsx::remove_file(&self.record_path(record.key)))?;
                }
                Trouble::Unreadable(path) => fsx::remove_file(path)?,
            }
            if let Trouble::Damaged(digest) = trouble {
                self.quarantine(*digest)?;
            }
        }
        Ok(())
    }

    /// The files of a folder that are named by digests, which are spread over folders by their first two digits.
    pub(super) fn named(&self, part: &str, extension: &str) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
        let folder = self.root.join(part);
        let named = |name: String| {
            let digest = Digest::parse(&name.strip_suffix(extension)?.replace('/', ""))?;
            Some((digest, folder.join(name)))
        };
        Ok(fsx::files_below(&folder)?.into_iter().filter_map(named).collect())
    }
}
