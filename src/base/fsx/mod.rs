//! The only user of `std::fs`: every error carries what was tried and on which path.
#![expect(clippy::disallowed_methods, reason = "this is the replacement that the lint names")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

#[cfg(test)]
use crate::base::fault;

mod atomic;
mod folders;
mod identity;

pub use atomic::{copy_atomic, fill_atomic, is_temporary, place, write_atomic};
pub use folders::{
    clear_dir, create_dir_all, files_below, is_dir, is_empty_dir, list, remove_dir_all, remove_empty_dir,
};
pub use identity::{Identity, identity};

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

    /// Whether there is no room for it.
    pub fn is_disk_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether somebody else has that name.
    pub fn is_there_already(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }

    /// Whether the file system cannot do that at all.
    pub fn is_unsupported(&self) -> bool {
        const NO_LOCKS_AVAILABLE: i32 = 37;
        self.source.kind() == io::ErrorKind::Unsupported
            || self.source.raw_os_error() == Some(NO_LOCKS_AVAILABLE)
    }

    /// Whether nothing may be written there.
    pub fn is_not_allowed(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
    }
}

type Result<T> = std::result::Result<T, FileError>;

/// Makes a call. Tests may let it fail here.
fn attempt<T>(action: &'static str, path: &Path, call: impl FnOnce() -> io::Result<T>) -> Result<T> {
    #[cfg(test)]
    fault::before(action, path).map_err(|e| FileError::new(action, path, e))?;
    call().map_err(|e| FileError::new(action, path, e))
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| FileError::new("open", path, e))
}

/// Creates a file, or empties the one that is there.
pub fn create(path: &Path) -> Result<File> {
    attempt("create", path, || File::create(path))
}

/// Writes a file that must not be there yet, and the folders above it.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let write = || File::create_new(path)?.write_all(bytes);
    write().map_err(|e| FileError::new("create", path, e))
}

/// Likewise, for the eyes of this user only.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || options.open(path)?.write_all(bytes);
    write().map_err(|e| FileError::new("create", path, e))
}

/// Creates a file that must not be there yet.
pub fn create_new(path: &Path) -> Result<File> {
    attempt("create", path, || File::create_new(path))
}

/// Opens a file for appending, and creates it if it is not there.
pub fn append(path: &Path) -> Result<File> {
    attempt("open", path, || File::options().create(true).append(true).open(path))
}

/// Writes to an open file; the path is for the error.
pub fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    let written = attempt("write", path, || file.write_all(bytes));
    #[cfg(test)]
    if written.is_err() {
        let _ = file.write_all(&bytes[..bytes.len() / 2]); // what a death or a full disk leaves
    }
    written
}

/// Writes over the beginning of an open file, and waits until others can see it.
pub fn overwrite(file: &File, path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::{Seek, SeekFrom};
    attempt("write", path, || {
        let mut file = file;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(bytes)?;
        file.sync_data()
    })
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| FileError::new("read", path, e))
}

/// Reads a whole file of UTF-8 text.
pub fn read_to_string(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| FileError::new("read", path, e))
}

/// Moves a file over another one, atomically within a file system.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    attempt("rename to", to, || {
        #[cfg(test)]
        fault::before_rename(from, to);
        fs::rename(from, to)
    })
}

/// Moves a file to a name that nobody has; `false` if somebody has it, or the system cannot tell.
pub fn rename_new(from: &Path, to: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, to);
        false
    }
}

/// Moves a file over another one; creates the folder if it is not there.
pub fn move_to(from: &Path, to: &Path) -> Result<()> {
    match rename(from, to) {
        Err(error) if error.is_not_found() => {
            create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
            rename(from, to)
        }
        result => result,
    }
}

/// Removes a file; one that is not there is no error.
pub fn remove_file(path: &Path) -> Result<()> {
    attempt("remove", path, || ignore_missing(fs::remove_file(path)))
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
    attempt("copy to", to, || io::copy(&mut source, &mut target).map(drop))
}

/// Makes a second name for a file's bytes, and the folder for it: for immutable ones only.
pub fn hard_link(from: &Path, to: &Path) -> Result<()> {
    let link = || match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
            fs::hard_link(from, to)
        }
        result => result,
    };
    attempt("link to", to, link)
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

/// Fills a buffer from a place in a file.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
    }
    #[cfg(not(unix))]
    {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = file;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}

/// Marks a file read-only, of which this is known.
pub fn set_readonly(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    let mut permissions = metadata.permissions();
    permissions.set_readonly(true);
    attempt("make read-only", path, || fs::set_permissions(path, permissions))
}

/// Waits until a file's bytes are on the disk.
pub fn sync_file(path: &Path) -> Result<()> {
    attempt("sync", path, || File::open(path)?.sync_all())
}

/// Asks the system to begin to bring a file's bytes to the disk, so that a sync later need not wait for all of them.
pub fn begin_sync(file: &File) {
    // Of bytes that are not on the disk yet, Linux begins to write those that are said not to be needed, and keeps them.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Waits until all of the file system that holds a folder is on the disk; `false` where the system cannot do that.
pub fn sync_file_system(folder: &Path) -> Result<bool> {
    #[cfg(target_os = "linux")]
    {
        attempt("sync", folder, || Ok(rustix::fs::syncfs(File::open(folder)?)?)).map(|()| true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        Ok(false)
    }
}

/// Waits until a folder's entries are on the disk, so that a rename in it survives a power cut.
pub fn sync_dir(path: &Path) -> Result<()> {
    attempt("sync", path, || File::open(path)?.sync_all())
}

/// Marks a file or folder as used now.
pub fn touch(path: &Path) -> Result<()> {
    attempt("touch", path, || File::open(path)?.set_modified(SystemTime::now()))
}

/// How long ago a file or folder was changed or touched; `None` if there is none.
pub fn age(path: &Path) -> Option<Duration> {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    Some(SystemTime::now().duration_since(modified).unwrap_or_default())
}

/// Bytes of a file, or of all files below a folder; 0 if there is nothing.
pub fn total_size(path: &Path) -> u64 {
    match size(path) {
        Some(size) => size,
        None => files_below(path).map_or(0, |names| names.iter().filter_map(|n| size(&path.join(n))).sum()),
    }
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

/// What is at a path; links are followed.
pub fn metadata(path: &Path) -> Result<fs::Metadata> {
    fs::metadata(path).map_err(|e| FileError::new("inspect", path, e))
}

/// What is at a path; a link is a link.
pub fn link_metadata(path: &Path) -> Result<fs::Metadata> {
    fs::symlink_metadata(path).map_err(|e| FileError::new("inspect", path, e))
}

/// The path without links and detours.
pub fn canonicalize(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(|e| FileError::new("resolve", path, e))
}

/// The path seen from the top; an empty one is the current folder, which this program never leaves.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    static CURRENT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(current) = CURRENT.get() {
        return Ok(current.join(path));
    }
    let current = std::env::current_dir().map_err(|e| FileError::new("resolve", path, e))?;
    Ok(CURRENT.get_or_init(|| current).join(path))
}

/// Makes a symbolic link, and the folders above it.
#[cfg(unix)]
pub fn symlink(target: &Path, link: &Path) -> Result<()> {
    let make = || std::os::unix::fs::symlink(target, link);
    let made = make().or_else(|error| match (error.kind(), link.parent()) {
        (io::ErrorKind::NotFound, Some(folder)) => fs::create_dir_all(folder).and_then(|()| make()),
        _ => Err(error),
    });
    made.map_err(|e| FileError::new("link to", link, e))
}
