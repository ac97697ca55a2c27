//! Folders: what is in them, making and removing them.

use std::fs;
use std::io;
use std::path::Path;

use crate::base::fsx::{FileError, Result, attempt, ignore_missing};

/// Names of a folder's entries, sorted.
pub fn list(path: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(path).map_err(|e| FileError::new("list", path, e))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| FileError::new("list", path, e))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Whether nothing is in a folder.
pub fn is_empty_dir(path: &Path) -> Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags, RawDir};
        // Asked for every command, often: the standard library would also inspect the folder, and take 32 KiB for what it reads.
        let look = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = rustix::fs::open(path, flags, Mode::empty())?;
            let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
            let mut entries = RawDir::new(folder, &mut buffer);
            while let Some(entry) = entries.next() {
                if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        look().map_err(|error: rustix::io::Errno| FileError::new("list", path, error.into()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        list(path).map(|names| names.is_empty())
    }
}

/// Paths of all files below a folder, relative to it, with `/` between folders; sorted as text. Links are followed. A folder that is
/// not there has none.
pub fn files_below(folder: &Path) -> Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(inside) = folders.pop() {
        let path = folder.join(&inside);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && inside.is_empty() => break,
            entries => entries.map_err(|e| FileError::new("list", &path, e))?,
        };
        for entry in entries {
            let entry = entry.map_err(|e| FileError::new("list", &path, e))?;
            let mut ty = entry.file_type().map_err(|e| FileError::new("look at", &entry.path(), e))?;
            if ty.is_symlink() {
                ty = fs::metadata(entry.path()).map_or(ty, |metadata| metadata.file_type());
            }
            let name = format!("{inside}{}", entry.file_name().to_string_lossy());
            if ty.is_dir() { folders.push(name + "/") } else { found.push(name) }
        }
    }
    found.sort();
    Ok(found)
}

/// Creates a folder and those above it.
pub fn create_dir_all(path: &Path) -> Result<()> {
    if is_dir(path) {
        return Ok(());
    }
    attempt("create the folder", path, || fs::create_dir_all(path))
}

/// Removes a folder with all that is in it; one that is not there is no error.
pub fn remove_dir_all(path: &Path) -> Result<()> {
    attempt("remove the folder", path, || ignore_missing(fs::remove_dir_all(path)))
}

/// Removes what is in a folder, which stays the same one; makes it if it is not there.
pub fn clear_dir(path: &Path) -> Result<()> {
    match is_empty_dir(path) {
        Ok(true) => return Ok(()),
        Err(error) if error.is_not_found() => return create_dir_all(path),
        other => other?,
    };
    attempt("clear the folder", path, || {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            if is_dir { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }?;
        }
        Ok(())
    })
}

/// Removes a folder if nothing is in it; one that is not there, or not empty, stays as it is.
pub fn remove_empty_dir(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => ignore_missing(other).map_err(|e| FileError::new("remove the folder", path, e)),
    }
}

/// Whether there is a folder of this name.
pub fn is_dir(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
