//! What the store holds, and the removal of what nobody refers to.
//!
//! Removed are: records that are not to be kept, objects that no kept record names, logs of either, parts and interrupted work that
//! nobody used for some days, and what died in the making. Records go first, and are gone on the disk before the first object is:
//! a crash in between leaves objects without a record, which the next collection removes, never a record without its objects.
//!
//! Only while nobody else has the store open: who opens it meanwhile waits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::stage::StageKey;
use crate::store::index::Index;
use crate::store::{Store, StoreError};

/// What a collection keeps, beside what the latest runs refer to.
#[derive(Debug, Default, Clone)]
pub struct Keep {
    /// Executions.
    pub keys: BTreeSet<StageKey>,
    /// Objects, whether or not a record names them.
    pub objects: BTreeSet<Digest>,
    /// Parts, interrupted work and quarantined objects that were used within this time.
    pub unused_for: Duration,
}

/// What was removed, or would be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// Objects.
    pub objects: u64,
    /// Records.
    pub records: u64,
    /// Keys of parts.
    pub parts: u64,
    /// Files and folders of other sorts: logs, dead work, temporary files, old quarantine.
    pub others: u64,
    /// Bytes of all of these.
    pub bytes: u64,
}

/// Bytes by what they are for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Results, each once however many executions share it.
    pub objects: u64,
    /// Records.
    pub records: u64,
    /// Training states, probes.
    pub parts: u64,
    /// Work in progress or interrupted.
    pub staging: u64,
    /// Damaged objects.
    pub quarantine: u64,
    /// What stages printed, and what runs told.
    pub logs: u64,
    /// The index and what else can be made again.
    pub index: u64,
}

/// Something that nobody refers to.
struct Garbage {
    what: What,
    path: PathBuf,
}

/// In the order of removal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Record,
    Object,
    Part,
    Other,
}

impl Store {
    /// Removes what is not to be kept.
    pub fn collect(&self, keep: &Keep) -> Result<Freed, StoreError> {
        let Some(_alone) = self.presence.alone()? else {
            return Err(StoreError::InUse { store: self.root.clone() });
        };
        if let Some(claims) = &self.claims
            && claims.are_alive()?
        {
            return Err(StoreError::InUse { store: self.root.clone() });
        }
        let garbage = self.garbage(keep)?;
        let freed = Freed::of(&garbage);
        let (records, others): (Vec<_>, Vec<_>) = garbage.iter().partition(|g| g.what == What::Record);
        records.iter().try_for_each(|record| fsx::remove_file(&record.path))?;
        let folders: BTreeSet<_> = records.iter().filter_map(|record| record.path.parent()).collect();
        folders.into_iter().try_for_each(fsx::sync_dir)?;
        others.iter().try_for_each(|garbage| remove(&garbage.path))?;
        // What was indexed since this store was opened is read anew.
        let mut index = Index::open(self.root.join("index"), &self.root.join("records"))?;
        index.retain(|summary| fsx::size(&self.record_path(summary.key)).is_some());
        *self.index() = index;
        Ok(freed)
    }

    /// What a collection would remove.
    pub fn collectable(&self, keep: &Keep) -> Result<Freed, StoreError> {
        Ok(Freed::of(&self.garbage(keep)?))
    }

    /// How much there is of what.
    pub fn usage(&self) -> Usage {
        let size = |part: &str| fsx::total_size(&self.root.join(part));
        Usage {
            objects: size("objects"),
            records: size("records") + size("elsewhere"),
            parts: size("parts"),
            staging: size("staging"),
            quarantine: size("quarantine"),
            logs: size("logs") + size("live") + size("slurm"),
            index: size("index") + size("digests") + size("runs") + size("remote"),
        }
    }

    fn garbage(&self, keep: &Keep) -> Result<Vec<Garbage>, StoreError> {
        let mut keys = self.noted_keys()?;
        keys.extend(&keep.keys);
        let (mut garbage, mut live) = (Vec::new(), keep.objects.clone());
        for (digest, path) in self.named("records", ".json")? {
            let key = StageKey::from(digest);
            if keys.contains(&key) {
                let outputs = self.record(key)?.map(|record| record.outputs).unwrap_or_default();
                live.extend(outputs.iter().map(|output| output.digest));
            } else {
                garbage.push(Garbage { what: What::Record, path });
            }
        }
        let dead = self.named("objects", "")?.into_iter().filter(|(digest, _)| !live.contains(digest));
        garbage.extend(dead.map(|(_, path)| Garbage { what: What::Object, path }));
        garbage.extend(self.old_parts(keep.unused_for)?);
        let others = [
            self.dead_work(keep.unused_for)?,
            self.dead_logs(&keys)?,
            self.dead_notes(&keys)?,
            self.temporary_files()?,
            self.old_submissions(keep.unused_for)?,
            old_files(&self.root.join("quarantine"), keep.unused_for)?,
            old_files(&self.indices(), keep.unused_for)?,
        ];
        garbage.extend(others.into_iter().flatten().map(|path| Garbage { what: What::Other, path }));
        Ok(garbage)
    }

    /// Folders of keys of parts that nobody used lately.
    fn old_parts(&self, unused_for: Duration) -> Result<Vec<Garbage>, StoreError> {
        let root = self.root.join("parts");
        let mut old = Vec::new();
        for fan in list(&root)? {
            let keys = list(&root.join(&fan))?.into_iter().map(|key| root.join(&fan).join(key));
            let keys = keys.filter(|path| is_unused(path, unused_for));
            old.extend(keys.map(|path| Garbage { what: What::Part, path }));
        }
        Ok(old)
    }

    /// Staging folders from which no work continues, or has not for long; and leases, as nobody else is here.
    fn dead_work(&self, unused_for: Duration) -> Result<Vec<PathBuf>, StoreError> {
        let staging = self.root.join("staging");
        let is_dead = |name: &String| {
            let key = StageKey::parse(name);
            !key.is_some_and(|key| self.is_staged(key))
                || is_unused(&staging.join(name).join("scratch"), unused_for)
        };
        let mut dead: Vec<_> = list(&staging)?.into_iter().filter(is_dead).map(|n| staging.join(n)).collect();
        self.leases.clear(); // ours are no garbage of the dead
        let leases = self.root.join("leases");
        dead.extend(list(&leases)?.into_iter().map(|name| leases.join(name)));
        let beside = self.root.parent().expect("the store is a folder's folder");
        let reruns = list(beside)?.into_iter().filter(|name| name.starts_with("rerun-"));
        dead.extend(reruns.map(|name| beside.join(name)));
        Ok(dead)
    }

    /// What was submitted long ago; and claims, as nobody is alive.
    fn old_submissions(&self, unused_for: Duration) -> Result<Vec<PathBuf>, StoreError> {
        let paths = |part: &str| -> Result<Vec<PathBuf>, FileError> {
            let folder = self.root.join(part);
            Ok(list(&folder)?.into_iter().map(|name| folder.join(name)).collect())
        };
        let batches = [paths("slurm/batches")?, paths("slurm/open")?].concat();
        let old = batches.into_iter().filter(|path| is_unused(path, unused_for));
        let is_claim =
            |path: &PathBuf| !path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        Ok(old.chain(paths("claims")?.into_iter().filter(is_claim)).collect())
    }

    fn dead_logs(&self, keys: &BTreeSet<StageKey>) -> Result<Vec<PathBuf>, StoreError> {
        let logs = self.named("logs", ".txt")?.into_iter();
        Ok(logs
            .filter(|(digest, _)| !keys.contains(&StageKey::from(*digest)))
            .map(|(_, path)| path)
            .collect())
    }

    /// What killed processes left of files that they were writing.
    fn temporary_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let is_left = |name: &String| {
            !name.starts_with("staging/") && name.rsplit('/').next().is_some_and(fsx::is_temporary)
        };
        Ok(fsx::files_below(&self.root)?
            .into_iter()
            .filter(is_left)
            .map(|name| self.root.join(name))
            .collect())
    }
}

impl Freed {
    fn of(garbage: &[Garbage]) -> Self {
        let mut freed = Self::default();
        for Garbage { what, path } in garbage {
            freed.bytes += fsx::total_size(path);
            match what {
                What::Record => freed.records += 1,
                What::Object => freed.objects += 1,
                What::Part => freed.parts += 1,
                What::Other => freed.others += 1,
            }
        }
        freed
    }
}

fn remove(path: &Path) -> Result<(), FileError> {
    if fsx::is_dir(path) { fsx::remove_dir_all(path) } else { fsx::remove_file(path) }
}

/// Files of a folder that nobody used lately.
fn old_files(folder: &Path, unused_for: Duration) -> Result<Vec<PathBuf>, FileError> {
    let paths = list(folder)?.into_iter().map(|name| folder.join(name));
    Ok(paths.filter(|path| is_unused(path, unused_for)).collect())
}

fn is_unused(path: &Path, for_long: Duration) -> bool {
    fsx::age(path).is_none_or(|age| age >= for_long)
}

/// Names in a folder; none if it is not there.
fn list(folder: &Path) -> Result<Vec<String>, FileError> {
    if fsx::is_dir(folder) { fsx::list(folder) } else { Ok(Vec::new()) }
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::stage::parts::Parts;
    use crate::store::tests::{fields, stage, write};
    use crate::store::{Found, Provenance};

    fn commit(store: &Store, parameter: u64) -> StageKey {
        let staging = stage(store, &fields(parameter));
        write(&staging, "own.txt", &parameter.to_le_bytes());
        write(&staging, "shared.txt", b"shared");
        staging.commit(fields(parameter), Vec::new(), Provenance::default()).unwrap().key
    }

    fn make_old(path: &Path) {
        fsx::open(path).unwrap().set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
    }

    #[test]
    fn what_is_referred_to_or_was_used_lately_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let keys = [1, 2, 3].map(|parameter| commit(&store, parameter));
        store.note_run("pipeline", &[keys[1]].into()).unwrap();
        let (used, unused) = (Digest::of(b"used"), Digest::of(b"unused"));
        for part in [used, unused] {
            store.parts().add(part, b"part").unwrap();
            make_old(&store.root.join("parts").join(&part.to_string()[..2]).join(&part.to_string()[2..]));
        }
        assert_eq!(store.parts().read(used).unwrap().len(), 1, "reading is using");
        let interrupted = stage(&store, &fields(4));
        fsx::write_atomic(&interrupted.scratch().join("state"), b"state").unwrap();
        drop((interrupted, stage(&store, &fields(5))));
        fsx::write_atomic(&store.root.join("objects/ab/.x.1-1.tmp"), b"half").unwrap();

        let unused_for = Duration::from_hours(1);
        let keep = Keep { keys: [keys[0]].into(), unused_for, ..Keep::default() };
        let other = Store::open(folder.path()).unwrap();
        assert!(matches!(store.collect(&keep), Err(StoreError::InUse { .. })));
        drop(other);
        let (before, planned) = (fsx::total_size(&store.root), store.collectable(&keep).unwrap());
        let freed = store.collect(&keep).unwrap();
        assert_eq!(freed, planned);
        assert_eq!((freed.records, freed.objects, freed.parts, freed.others), (1, 1, 1, 2));
        let index = before - fsx::total_size(&store.root) - freed.bytes;
        assert!(index < 2000, "{index} bytes beside the index, which is shorter now");
        let is_whole = keys.map(|key| matches!(store.find(key).unwrap(), Found::Whole(_)));
        assert_eq!(is_whole, [true, true, false]);
        assert!(store.parts().has(used) && !store.parts().has(unused));
        assert!(store.is_staged(fields(4).key()));
        assert_eq!(store.collect(&keep).unwrap(), Freed::default());
        let others = Store::open(folder.path()).unwrap();
        assert_eq!(others.summaries().len(), 2);
    }
}
