//! Files that are written whole or not at all: a temporary name beside the right one, then a rename.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::fsx::{
    FileError, Result, attempt, copy, create, create_dir_all, remove_file, rename, sync_file, write_all,
};

/// Keeps the temporary names of one process apart.
static TURN: AtomicU64 = AtomicU64::new(0);

/// Writes a file whole or not at all, and waits until it is on the disk: a temporary name beside it, sync, rename.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, true, |temporary| write_all(&mut create(temporary)?, temporary, bytes))
}

/// Writes a file whole or not at all as other processes see it; a power cut may tear it until it is synced.
pub fn place(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, false, |temporary| write_all(&mut create(temporary)?, temporary, bytes))
}

/// Puts a copy of a file in a place, whole or not at all. The bytes are shared until one of both is written to, where the file
/// system can do that; the copy is writable whatever the original is.
pub fn copy_atomic(from: &Path, to: &Path) -> Result<()> {
    replace(to, true, |temporary| {
        match attempt("copy to", temporary, || reflink_copy::reflink(from, temporary)) {
            Ok(()) => make_writable(temporary),
            Err(_) => copy(from, temporary),
        }
    })
}

/// Puts a file in its place when a function has filled it under a temporary name, whole or not at all, and it is on the disk.
pub fn fill_atomic(path: &Path, fill: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
    replace(path, true, fill)
}

/// Fills a temporary file and renames it to its place, perhaps when it is on the disk; makes the folder if it is not there.
fn replace(path: &Path, is_synced: bool, fill: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}-{turn}.tmp", std::process::id()));
    let filled = match fill(&temporary) {
        Err(error) if error.is_not_found() => {
            create_dir_all(folder)?;
            fill(&temporary)
        }
        filled => filled,
    };
    let synced = filled.and_then(|()| if is_synced { sync_file(&temporary) } else { Ok(()) });
    synced.and_then(|()| rename(&temporary, path)).map_err(|error| {
        let _ = remove_file(&temporary);
        FileError { action: "write", path: path.to_owned(), ..error }
    })
}

/// Some systems share the permissions too.
fn make_writable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = || Ok(fs::metadata(path)?.permissions());
        let mode = permissions().map_err(|e| FileError::new("look at", path, e))?.mode();
        if mode & 0o200 == 0 {
            return attempt("make writable", path, || {
                fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o200))
            });
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Whether a name is one that `write_atomic` gives until it renames; a killed one leaves it.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && Path::new(name).extension().is_some_and(|extension| extension == "tmp")
}
