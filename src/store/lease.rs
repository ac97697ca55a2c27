//! The right to write one key: held by one process at a time, let go by the system if that process dies.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

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
                Err(TryLockError::Error(error)) => return Err(FileError::new("lock", path, error)),
            }
            // The previous holder removes the file before it lets go: a lock on a removed file guards nothing.
            if fsx::is_same_file(&file, path) {
                return Ok(Some(Self { path: path.to_owned(), _lock: file }));
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A file that stays is harmless: the lock is what counts.
        let _ = fsx::remove_file(&self.path);
    }
}
