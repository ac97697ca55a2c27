//! Parts on disk: a folder per key, a file per part, named by its digest, which is also how a torn or damaged one is known.
//!
//! The store cannot know what a key stands for, nor who will ask for it. So the folder of a key carries the time of its last use
//! (adding sets it, reading does too), and a collection removes those that nobody used for some days.

use std::path::PathBuf;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::stage::parts::Parts;

/// Parts under a folder.
#[derive(Debug, Clone)]
pub struct PartStore {
    root: PathBuf,
}

impl PartStore {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn folder(&self, key: Digest) -> PathBuf {
        let hex = key.to_string();
        let (fan, name) = hex.split_at(2);
        self.root.join(fan).join(name)
    }

    fn names(&self, key: Digest) -> Result<Vec<String>, FileError> {
        match fsx::list(&self.folder(key)) {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            names => Ok(names?.into_iter().filter(|name| Digest::parse(name).is_some()).collect()),
        }
    }
}

impl Parts for PartStore {
    fn read(&self, key: Digest) -> Result<Vec<Vec<u8>>, FileError> {
        let mut parts = Vec::new();
        let names = self.names(key)?;
        if !names.is_empty() {
            let _ = fsx::touch(&self.folder(key)); // fails in a store that may only be read
        }
        for name in names {
            match fsx::read(&self.folder(key).join(&name)) {
                Ok(bytes) if Digest::of(&bytes).to_string() == name => parts.push(bytes),
                Ok(_) => {}
                // Another process removed it in between.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(parts)
    }

    fn has(&self, key: Digest) -> bool {
        self.names(key).is_ok_and(|names| !names.is_empty())
    }

    fn add(&self, key: Digest, bytes: &[u8]) -> Result<(), FileError> {
        let folder = self.folder(key);
        let path = folder.join(Digest::of(bytes).to_string());
        if fsx::size(&path) == Some(bytes.len() as u64) {
            return Ok(());
        }
        // A new key may have made the folders above its own, up to that of the store.
        let changed = if fsx::is_dir(&folder) { 1 } else { 4 };
        fsx::write_atomic(&path, bytes)?;
        folder.ancestors().take(changed).try_for_each(fsx::sync_dir)
    }

    fn remove(&self, key: Digest) -> Result<(), FileError> {
        fsx::remove_dir_all(&self.folder(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let parts = PartStore::new(folder.path().to_owned());
        let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
        assert_eq!(parts.read(key).unwrap(), Vec::<Vec<u8>>::new());
        for bytes in ["one", "two", "one"] {
            parts.add(key, bytes.as_bytes()).unwrap();
        }
        let mut read = parts.read(key).unwrap();
        read.sort();
        assert_eq!(read, [b"one".to_vec(), b"two".to_vec()]);
        assert!(parts.has(key) && !parts.has(other));
        fsx::write_atomic(&parts.folder(key).join(Digest::of(b"two").to_string()), b"tw").unwrap();
        assert_eq!(parts.read(key).unwrap(), [b"one".to_vec()]);
        parts.remove(key).unwrap();
        assert!(!parts.has(key));
    }
}
