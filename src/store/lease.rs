//! The right to write one key, and the right to remove what nobody refers to: file locks, let go by the system if their process dies.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::fsx::{self, FileError};

/// The right to write one key; dropping it lets go.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    _lock: File,
}

impl Lease {
    /// Takes the lease, or returns `None` if another process, or another thread of this one, holds it.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, FileError> {
        loop {
            let file = fsx::append(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    let error = FileError::new("lock", path, error);
                    // Then there are claims, or only one process: nothing else can be done.
                    if !error.is_unsupported() {
                        return Err(error);
                    }
                }
            }
            // The previous holder removes the file before it lets go: a lock on a removed file guards nothing.
            if fsx::is_same_file(&file, path) {
                return Ok(Some(Self { path: path.to_owned(), _lock: file }));
            }
        }
    }
}

/// Leases of this process that are on no key. The file of a lease is renamed from key to key: making and removing one for each takes
/// longer.
#[derive(Debug, Default)]
pub(super) struct Spare {
    leases: Mutex<Vec<Lease>>,
    count: AtomicU64,
}

impl Spare {
    /// Takes the lease on a key, like [`Lease::take`].
    pub(super) fn take(&self, path: &Path) -> Result<Option<Lease>, FileError> {
        // In a statement of its own: the list must not be locked any more when a lease is put back.
        let spare = self.leases.lock().expect("no holder panics").pop();
        if let Some(mut lease) = spare {
            if fsx::rename_new(&lease.path, path) {
                path.clone_into(&mut lease.path);
                return Ok(Some(lease));
            }
            self.leases.lock().expect("no holder panics").push(lease);
        }
        Lease::take(path)
    }

    /// Lets go of all.
    pub(super) fn clear(&self) {
        self.leases.lock().expect("no holder panics").clear();
    }

    /// Lets go of the key. Where the file cannot be renamed it is removed.
    pub(super) fn give_back(&self, mut lease: Lease) {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("spare-{}-{count}", std::process::id());
        let path = lease.path.with_file_name(name);
        if fsx::rename_new(&lease.path, &path) {
            lease.path = path;
            self.leases.lock().expect("no holder panics").push(lease);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A file that stays is harmless: the lock is what counts.
        let _ = fsx::remove_file(&self.path);
    }
}

/// That somebody uses the store: many may, at the same time.
#[derive(Debug)]
pub(super) struct Presence {
    path: PathBuf,
    /// `None` in a store that may only be read and has no such file: nobody can remove anything there.
    lock: Option<File>,
}

/// That nobody else uses the store; dropping it lets others in again.
#[derive(Debug)]
pub(super) struct Alone<'a>(&'a Presence);

impl Presence {
    /// Tells others of our presence; waits while somebody is alone.
    pub(super) fn take(path: &Path) -> Result<Self, FileError> {
        let lock = match fsx::append(path) {
            Ok(file) => Some(file),
            Err(error) if error.is_not_allowed() => fsx::open(path).ok(),
            Err(error) => return Err(error),
        };
        let presence = Self { path: path.to_owned(), lock };
        presence.share()?;
        Ok(presence)
    }

    /// Shuts others out, or returns `None` if there are some.
    pub(super) fn alone(&self) -> Result<Option<Alone<'_>>, FileError> {
        let Some(lock) = &self.lock else { return Ok(None) };
        match lock.try_lock() {
            Ok(()) => Ok(Some(Alone(self))),
            Err(TryLockError::WouldBlock) => {
                self.share()?; // the attempt may have cost us our own lock
                Ok(None)
            }
            Err(TryLockError::Error(error)) => Err(FileError::new("lock", &self.path, error)),
        }
    }

    fn share(&self) -> Result<(), FileError> {
        let lock = self.lock.as_ref().map_or(Ok(()), File::lock_shared);
        match lock.map_err(|error| FileError::new("lock", &self.path, error)) {
            Err(error) if error.is_unsupported() => Ok(()),
            result => result,
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let _ = self.0.share();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_lease_gives_way_to_the_lease_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, theirs] = [Spare::default(), Spare::default()];
        let path = |name: &str| folder.path().join(name);
        ours.give_back(ours.take(&path("a")).unwrap().unwrap());
        let held = theirs.take(&path("b")).unwrap().unwrap();
        assert!(ours.take(&path("b")).unwrap().is_none(), "another holds it");
        theirs.give_back(held);
        let lease = ours.take(&path("b")).unwrap().unwrap();
        assert!(theirs.take(&path("b")).unwrap().is_none(), "now we hold it");
        assert!(theirs.take(&path("c")).unwrap().is_some());
        ours.give_back(lease);
        ours.clear();
    }
}
