//! The only user of `std::fs`: every error carries what was tried and on which path.
#![expect(clippy::disallowed_methods, reason = "this is the replacement that the lint names")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A failed file-system call.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} '{}': {source}", path.display())]
pub struct FileError {
    /// What was tried: a verb.
    pub action: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    /// Attaches the action and the path to what the system said.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// Whether the path is not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

type Result<T> = std::result::Result<T, FileError>;

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| FileError::new("open", path, e))
}

/// Creates a file, or empties the one that is there.
pub fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|e| FileError::new("create", path, e))
}

/// Writes a file that must not be there yet, and the folders above it.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let write = || File::create_new(path)?.write_all(bytes);
    write().map_err(|e| FileError::new("create", path, e))
}

/// Opens a file for appending, and creates it if it is not there.
pub fn append(path: &Path) -> Result<File> {
    File::options().create(true).append(true).open(path).map_err(|e| FileError::new("open", path, e))
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| FileError::new("read", path, e))
}

/// Reads a whole file of UTF-8 text.
pub fn read_to_string(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| FileError::new("read", path, e))
}

/// Creates a folder and those above it.
pub fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| FileError::new("create the folder", path, e))
}

/// Moves a file over another one, atomically within a file system.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| FileError::new("rename to", to, e))
}

/// Removes a file; one that is not there is no error.
pub fn remove_file(path: &Path) -> Result<()> {
    ignore_missing(fs::remove_file(path)).map_err(|e| FileError::new("remove", path, e))
}

/// Removes a folder with all that is in it; one that is not there is no error.
pub fn remove_dir_all(path: &Path) -> Result<()> {
    ignore_missing(fs::remove_dir_all(path)).map_err(|e| FileError::new("remove the folder", path, e))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Copies a file's bytes; the copy is writable whatever the original was.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = open(from)?;
    let mut target = create(to)?;
    io::copy(&mut source, &mut target).map(drop).map_err(|e| FileError::new("copy to", to, e))
}

/// Makes a second name for a file's bytes, or copies them where links cannot be made.
///
/// For immutable bytes only: both names share them.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to)
        .or_else(|_| copy(from, to).map_err(|e| e.source))
        .map_err(|e| FileError::new("link to", to, e))
}

/// Size of a file in bytes; `None` if there is no such file.
pub fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
}

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

/// Marks a file read-only, and waits until its bytes are on the disk.
pub fn seal(path: &Path) -> Result<()> {
    let seal = || {
        let file = File::open(path)?;
        file.sync_all()?;
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions)
    };
    seal().map_err(|e| FileError::new("seal", path, e))
}

/// Waits until a folder's entries are on the disk, so that a rename in it survives a power cut.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| FileError::new("sync", path, e))
}

/// Keeps the temporary names of one process apart.
static TURN: AtomicU64 = AtomicU64::new(0);

/// Writes a file whole or not at all: a temporary name beside it, sync, rename.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}-{turn}.tmp", std::process::id()));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        FileError::new("write", path, e)
    })
}

/// Whether an open file is the one that a path names now.
pub fn is_same_file(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
        matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if identity(&a) == identity(&b))
    }
    #[cfg(not(unix))]
    {
        file.metadata().is_ok() && fs::metadata(path).is_ok()
    }
}
