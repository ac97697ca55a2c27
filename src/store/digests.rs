//! Digests of the project's own files: those that stages declare. A file is hashed once and then known by its identity (device,
//! inode, size, times), so that an unchanged one costs a system call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError, Identity};
use crate::base::journal;
use crate::stage::artifact;

/// A file that was changed so recently could be changed again without its times telling.
const SETTLED: Duration = Duration::from_secs(2);

/// The digests that are known.
#[derive(Debug)]
pub struct Digests {
    journal: PathBuf,
    known: OnceLock<BTreeMap<(u64, u64), (Identity, Digest)>>,
    learnt: Mutex<Vec<(Identity, Digest)>>,
}

impl Digests {
    /// Those of earlier times, if the store under this folder has them. What is learnt is kept if the store is there in the end.
    pub fn new(store: &Path) -> Self {
        Self { journal: store.join("v1/digests"), known: OnceLock::new(), learnt: Mutex::new(Vec::new()) }
    }

    /// The digest of a file's bytes, or of a folder: of the names and digests of all files below it.
    pub fn of(&self, path: &Path) -> Result<Digest, FileError> {
        if !fsx::is_dir(path) {
            return self.of_file(path);
        }
        let names = fsx::files_below(path)?;
        let digests: Result<Vec<_>, _> =
            names.par_iter().map(|name| self.of_file(&path.join(name))).collect();
        Ok(artifact::contents(names.iter().map(String::as_str).zip(digests?)))
    }

    fn of_file(&self, path: &Path) -> Result<Digest, FileError> {
        let before = fsx::identity(path);
        if let Some(digest) = before.and_then(|identity| self.recall(&identity)) {
            return Ok(digest);
        }
        let (digest, _) = Digest::of_file(path)?;
        if let Some(identity) =
            before.filter(|before| fsx::identity(path) == Some(*before) && is_settled(before))
        {
            self.learnt.lock().expect("no holder panics").push((identity, digest));
        }
        Ok(digest)
    }

    fn recall(&self, identity: &Identity) -> Option<Digest> {
        let known = self.known.get_or_init(|| {
            let journal = journal::read(&self.journal).map(|journal| journal.entries).unwrap_or_default();
            journal.into_iter().map(|entry: (Identity, Digest)| (entry.0.inode, entry)).collect()
        });
        known.get(&identity.inode).filter(|(same, _)| same == identity).map(|(_, digest)| *digest)
    }
}

impl Drop for Digests {
    /// Keeps what was learnt. Where it cannot be kept, files are hashed again.
    fn drop(&mut self) {
        let learnt = self.learnt.get_mut().expect("no holder panics");
        if learnt.is_empty() {
            return;
        }
        let _ = match journal::read(&self.journal) {
            Ok(journal) if journal.is_whole => journal::append(&self.journal, learnt),
            // What is appended behind something torn would not be read.
            Ok(journal) => {
                journal::replace(&self.journal, &[journal.entries, std::mem::take(learnt)].concat())
            }
            Err(_) => Ok(()),
        };
    }
}

#[expect(clippy::disallowed_methods, reason = "decides only whether a digest is remembered, not what it is")]
fn is_settled(identity: &Identity) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let changed = Duration::from_nanos(identity.changed.max(identity.modified).max(0) as u64);
    now.saturating_sub(changed) > SETTLED
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;

    use super::*;

    #[test]
    fn a_folder_is_known_by_its_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let digests = || Digests::new(folder.path());
        let tree = folder.path().join("tree");
        let write = |name: &str, text: &str| fsx::write_atomic(&tree.join(name), text.as_bytes()).unwrap();
        write("a.txt", "alpha");
        write("b/c.txt", "gamma");
        let first = digests().of(&tree).unwrap();
        assert_eq!(digests().of(&tree.join("a.txt")).unwrap(), Digest::of(b"alpha"));
        write("b/c.txt", "GAMMA");
        let second = digests().of(&tree).unwrap();
        fsx::rename(&tree.join("b/c.txt"), &tree.join("b/d.txt")).unwrap();
        let third = digests().of(&tree).unwrap();
        assert!(first != second && second != third && third != first);
        assert!(digests().of(&tree.join("none")).unwrap_err().is_not_found());
    }

    #[test]
    fn what_is_learnt_behind_a_torn_entry_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, old) =
            (folder.path().join("v1/digests"), Path::new(env!("CARGO_MANIFEST_DIR")).join("LICENSE"));
        fsx::write_atomic(&journal, b"torn").unwrap();
        Digests::new(folder.path()).of(&old).unwrap();
        let read = journal::read::<(Identity, Digest)>(&journal).unwrap();
        assert!(read.is_whole && read.entries.len() == 1);
    }

    #[test]
    fn a_settled_file_is_hashed_once_and_a_changed_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, path) = (folder.path().join("v1/digests"), folder.path().join("file"));
        let ask = || Digests::new(folder.path()).of(&path).unwrap();
        fsx::write_atomic(&path, b"one").unwrap();
        assert_eq!(ask(), Digest::of(b"one"));
        assert!(fsx::size(&journal).is_none(), "what was just written is not remembered");

        // What the journal says of a file is believed as long as its identity holds.
        let identity = fsx::identity(&path).unwrap();
        fsx::create_dir_all(journal.parent().unwrap()).unwrap();
        journal::append(&journal, &[(identity, Digest::of(b"what the journal says"))]).unwrap();
        assert_eq!(ask(), Digest::of(b"what the journal says"));
        fsx::open(&path).unwrap().set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
        assert_eq!(ask(), Digest::of(b"one"), "other times");
    }
}
