//! What the latest run of each pipeline tells while it goes on: a file of lines, for whoever watches.
//!
//! The process that writes has its file locked, and the system lets go of the lock when the process dies: so a run that goes on is
//! told from one that was killed, also after its process number went to another. A new run puts a new file in the place of the old.
//! In a store that a cluster uses the process has a claim, too, for readers on other hosts whose locks may know nothing of it.
//!
//! Never here: what a line says. Nothing of a result depends on these files, and no run reads them.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::store::Store;
use crate::store::claims::{Claim, Watched};

const FOLDER: &str = "live";
const EXTENSION: &str = ".jsonl";

/// The lines of a run, being written.
#[derive(Debug)]
pub struct LiveLog {
    file: File,
    path: PathBuf,
    _claim: Option<Claim>,
}

impl LiveLog {
    /// Begins with some lines, in the place of what the run before told.
    pub fn begin(store: &Store, pipeline: &str, lines: &str) -> Result<Self, FileError> {
        let folder = store.root.join(FOLDER);
        fsx::create_dir_all(&folder)?;
        // Locked before it has a name that readers know: they never see it without its lock.
        let temporary = folder.join(format!(".{pipeline}.{}.tmp", std::process::id()));
        let mut file = fsx::create(&temporary)?;
        // Where the system knows no locks, readers cannot tell the death of the process. That is all.
        let _ = file.try_lock();
        let path = folder.join(format!("{pipeline}{EXTENSION}"));
        let begun = fsx::write_all(&mut file, &temporary, lines.as_bytes());
        begun.and_then(|()| fsx::rename(&temporary, &path)).inspect_err(|_| {
            let _ = fsx::remove_file(&temporary);
        })?;
        let claim = store.claims.as_ref().and_then(|claims| claims.take(&claim_on(lines)).ok().flatten());
        Ok(Self { file, path, _claim: claim })
    }

    /// Adds lines.
    pub fn add(&mut self, lines: &str) -> Result<(), FileError> {
        fsx::write_all(&mut self.file, &self.path, lines.as_bytes())
    }
}

/// The name of a claim on a file with these lines: the first one says when and by whom it was begun.
fn claim_on(lines: &str) -> String {
    format!("live-{}", Digest::of(lines.lines().next().unwrap_or_default().as_bytes()))
}

/// Follows the lines of a run.
#[derive(Debug)]
pub struct LiveReader {
    file: File,
    path: PathBuf,
    /// A line whose end is not there yet.
    rest: Vec<u8>,
    claim: Option<Watched>,
}

impl LiveReader {
    /// Opens the lines of the latest run.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let (mut file, mut first) = (fsx::open(path)?, String::new());
        let unreadable = |error| FileError::new("read", path, error);
        BufReader::new(&file).read_line(&mut first).and_then(|_| file.rewind()).map_err(unreadable)?;
        let claim = path.ancestors().nth(2).map(|root| Watched::new(root, &claim_on(&first)));
        Ok(Self { file, path: path.to_owned(), rest: Vec::new(), claim })
    }

    /// The lines that are new since the last call.
    pub fn lines(&mut self) -> Result<Vec<String>, FileError> {
        let read = self.file.read_to_end(&mut self.rest);
        read.map_err(|error| FileError::new("read", &self.path, error))?;
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        Ok(String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect())
    }

    /// Whether the process that writes is there. To be asked before the last lines are read: it may write some and end.
    pub fn is_written(&mut self) -> bool {
        match self.file.try_lock_shared() {
            Ok(()) => {
                let _ = self.file.unlock();
                self.claim.as_mut().is_some_and(Watched::is_held_elsewhere)
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }

    /// Whether a later run has begun.
    pub fn is_replaced(&self) -> bool {
        fsx::size(&self.path).is_some() && !fsx::is_same_file(&self.file, &self.path)
    }
}

/// The pipelines whose latest run can be read, and where; the one that told something last comes first. The store need not be
/// opened, so that who watches is in nobody's way.
pub fn logs(store: &Path) -> Result<Vec<(String, PathBuf)>, FileError> {
    let folder = store.join("v1").join(FOLDER);
    let names = if fsx::is_dir(&folder) { fsx::list(&folder)? } else { Vec::new() };
    let entry = |name: &String| {
        let (pipeline, path) = (name.strip_suffix(EXTENSION)?, folder.join(name));
        Some((fsx::age(&path)?, pipeline.to_owned(), path))
    };
    let mut found: Vec<(Duration, String, PathBuf)> = names.iter().filter_map(entry).collect();
    found.sort();
    Ok(found.into_iter().map(|(_, pipeline, path)| (pipeline, path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keep;

    #[test]
    fn lines_are_followed_until_the_writer_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(logs(folder.path()).unwrap(), []);
        let mut log = LiveLog::begin(&store, "fig1", "one\n").unwrap();
        let (name, path) = logs(folder.path()).unwrap().remove(0);
        let mut reader = LiveReader::open(&path).unwrap();
        assert_eq!((name.as_str(), reader.lines().unwrap()), ("fig1", vec!["one".to_owned()]));
        assert!(reader.is_written());
        log.add("two\nthr").unwrap();
        assert_eq!(reader.lines().unwrap(), ["two"]);
        log.add("ee\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["three"]);
        assert_eq!(reader.lines().unwrap(), Vec::<String>::new());
        drop(log);
        assert!(!reader.is_written() && !reader.is_written() && !reader.is_replaced());
    }

    #[test]
    fn a_run_on_another_host_is_known_by_its_claim() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.share().unwrap();
        let log = LiveLog::begin(&store, "fig1", "one\n").unwrap();
        let claim = folder.path().join("v1/claims").join(claim_on("one\ntwo"));
        let held = fsx::read_to_string(&claim).unwrap();
        let mut reader = LiveReader::open(&logs(folder.path()).unwrap().remove(0).1).unwrap();
        drop(log);
        assert!(fsx::size(&claim).is_none() && !reader.is_written());
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        fsx::write_atomic(&claim, held.replace(&host, "another.host").as_bytes()).unwrap();
        assert!(reader.is_written());
    }

    #[test]
    fn a_later_run_takes_the_place_and_a_collection_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut first = LiveLog::begin(&store, "fig1", "first\n").unwrap();
        let (_, path) = logs(folder.path()).unwrap().remove(0);
        let mut reader = LiveReader::open(&path).unwrap();
        let second = LiveLog::begin(&store, "fig1", "second\n").unwrap();
        first.add("unheard\n").unwrap();
        assert!(reader.is_replaced() && reader.is_written());
        drop((first, second));
        fsx::write_atomic(&folder.path().join("v1/live/.fig1.7.tmp"), b"of the dead").unwrap();
        let freed = store.collect(&Keep::default()).unwrap();
        assert_eq!(freed.others, 1, "the temporary file");
        assert_eq!(LiveReader::open(&path).unwrap().lines().unwrap(), ["second"]);
        assert!(store.usage().logs > 0);
    }
}
