//! Whether what a program read has changed while it ran: sizes, times and identities of files, before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::base::fsx::{self, FileError};

/// What stays the same when nobody writes: size, time of the last write, device and number. Another link to a file does not count.
type Stamp = (u64, Option<SystemTime>, u64, u64);

/// The stamps of files, and of all files below folders.
#[derive(Default)]
pub(super) struct Stamps {
    files: BTreeMap<PathBuf, Stamp>,
    /// Where links lead, from the paths that were given and from below them.
    real: BTreeSet<PathBuf>,
}

impl Stamps {
    /// Looks at these files and folders.
    pub(super) fn of<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<Self, FileError> {
        let mut stamps = Self::default();
        for path in paths {
            stamps.add(path)?;
        }
        Ok(stamps)
    }

    /// Where links lead.
    pub(super) fn real(&self) -> &BTreeSet<PathBuf> {
        &self.real
    }

    /// A file that is another one later, or in only one of the two.
    pub(super) fn first_difference<'a>(&'a self, later: &'a Self) -> Option<&'a Path> {
        let changed = self.files.iter().find(|(path, stamp)| later.files.get(*path) != Some(*stamp));
        let new = || later.files.iter().find(|(path, _)| !self.files.contains_key(*path));
        changed.or_else(new).map(|(path, _)| path.as_path())
    }

    fn add(&mut self, path: &Path) -> Result<(), FileError> {
        let mut metadata = match fsx::link_metadata(path) {
            // A file that was removed is a difference, no failure.
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        if metadata.is_symlink() {
            let real = match fsx::canonicalize(path) {
                Err(error) if error.is_not_found() => return Ok(()),
                other => other?,
            };
            if path.starts_with(&real) {
                return Ok(()); // a circle
            }
            metadata = fsx::metadata(&real)?;
            self.real.insert(real);
        }
        if metadata.is_dir() {
            for name in fsx::list(path)? {
                self.add(&path.join(name))?;
            }
        } else {
            self.files.insert(path.to_owned(), stamp(&metadata));
        }
        Ok(())
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.len(), metadata.modified().ok(), metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_was_written_added_and_removed_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let write = |name: &str, text: &str| fsx::write_atomic(&path.join(name), text.as_bytes()).unwrap();
        write("deep/a", "a");
        fsx::symlink(&path, &path.join("circle")).unwrap();
        let look = || Stamps::of([&path].into_iter()).unwrap();

        let before = look();
        assert_eq!(before.first_difference(&look()), None);
        write("deep/a", "b");
        assert_eq!(before.first_difference(&look()), Some(path.join("deep/a").as_path()));
        let before = look();
        write("new", "");
        assert_eq!(before.first_difference(&look()), Some(path.join("new").as_path()));
        let before = look();
        fsx::remove_file(&path.join("new")).unwrap();
        assert_eq!(before.first_difference(&look()), Some(path.join("new").as_path()));
    }

    #[test]
    fn a_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let write = |text: &str| fsx::write_atomic(&path.join("elsewhere/a"), text.as_bytes()).unwrap();
        write("a");
        fsx::symlink(&path.join("elsewhere"), &path.join("data")).unwrap();
        let look = || Stamps::of([&path.join("data")].into_iter()).unwrap();
        let before = look();
        assert_eq!(before.real().iter().collect::<Vec<_>>(), [&path.join("elsewhere")]);
        write("b");
        assert_eq!(before.first_difference(&look()), Some(path.join("data/a").as_path()));
    }
}
