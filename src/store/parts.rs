//! Parts on disk: a folder per key, a file per part, named by its digest, which is also how a torn or damaged one is known.
//!
//! The store cannot know what a key stands for, nor who will ask for it. So the folder of a key carries the time of its last use
//! (adding sets it, reading does too), and a collection removes those that nobody used for some days.

use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::stage::parts::Parts;

/// How often to try to write into a folder that others remove.
const ATTEMPTS: u32 = 10;

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

/// Writes a part. Whoever removes parts removes the folder with them, perhaps just before the new file is in it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    for _ in 1..ATTEMPTS {
        match fsx::write_atomic(path, bytes) {
            Err(error) if error.is_not_found() => {}
            result => return result,
        }
    }
    fsx::write_atomic(path, bytes)
}

/// A folder that is gone was removed with the part in it, by somebody who needs it no more: nothing is left to bring to the disk.
fn sync_if_there(folder: &Path) -> Result<(), FileError> {
    match fsx::sync_dir(folder) {
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
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
        let digest = Digest::of(bytes);
        let folder = self.folder(key);
        let path = folder.join(digest.to_string());
        if is_whole(&path, digest) {
            return Ok(());
        }
        // A new key may have made the folders above its own, up to that of the store.
        let changed = if fsx::is_dir(&folder) { 1 } else { 4 };
        write(&path, bytes)?;
        folder.ancestors().take(changed).try_for_each(sync_if_there)
    }

    fn remove(&self, key: Digest) -> Result<(), FileError> {
        for name in self.names(key)? {
            fsx::remove_file(&self.folder(key).join(name))?;
        }
        fsx::remove_empty_dir(&self.folder(key))
    }

    /// The file is a second name of the part's bytes, so what is committed takes no more room than its part.
    fn place(&self, key: Digest, path: &Path) -> Result<bool, FileError> {
        for name in self.names(key)? {
            let part = self.folder(key).join(&name);
            if Digest::parse(&name).is_some_and(|digest| is_whole(&part, digest)) {
                return fsx::link_or_copy(&part, path).map(|()| true);
            }
        }
        Ok(false)
    }
}

fn is_whole(path: &Path, digest: Digest) -> bool {
    fsx::size(path).is_some() && Digest::of_file(path).is_ok_and(|(found, _)| found == digest)
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
        fsx::write_atomic(&parts.folder(key).join(Digest::of(b"two").to_string()), b"owt").unwrap();
        parts.add(key, b"two").unwrap();
        assert_eq!(parts.read(key).unwrap().len(), 2, "adding repairs a damaged part");
        parts.remove(key).unwrap();
        assert!(!parts.has(key));
    }

    /// As two trainings do that share their states: each removes what the other is adding.
    #[test]
    fn adding_and_removing_at_once_fails_neither() {
        let folder = tempfile::tempdir().unwrap();
        let parts = PartStore::new(folder.path().to_owned());
        let key = Digest::of(b"key");
        std::thread::scope(|scope| {
            for bytes in [b"one", b"two"] {
                let parts = &parts;
                scope.spawn(move || {
                    for _ in 0..1000 {
                        parts.add(key, bytes).unwrap();
                        parts.remove(key).unwrap();
                    }
                });
            }
        });
        assert!(!parts.has(key));
    }

    #[test]
    fn a_placed_part_outlives_its_place_and_the_other_way_round() {
        let folder = tempfile::tempdir().unwrap();
        let parts = PartStore::new(folder.path().join("parts"));
        let (key, file) = (Digest::of(b"key"), folder.path().join("file"));
        assert!(!parts.place(key, &file).unwrap());
        parts.add(key, b"bytes").unwrap();
        assert!(parts.place(key, &file).unwrap());
        fsx::remove_file(&file).unwrap();
        assert!(parts.place(key, &file).unwrap());
        parts.remove(key).unwrap();
        assert_eq!(fsx::read(&file).unwrap(), b"bytes");
        parts.add(key, b"bytes").unwrap();
        fsx::write_atomic(&parts.folder(key).join(Digest::of(b"bytes").to_string()), b"other").unwrap();
        assert!(!parts.place(key, &folder.path().join("another")).unwrap(), "a damaged part is not there");
    }
}
