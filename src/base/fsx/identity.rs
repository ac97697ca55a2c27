//! What tells whether a file has changed, short of reading it.

use std::fs;
use std::path::Path;
#[cfg(not(unix))]
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// What tells whether a file has changed, short of reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Device and inode: a file that was put in the place of another has others. Zero where the system has none.
    pub inode: (u64, u64),
    /// Length in bytes.
    pub size: u64,
    /// When the content was changed: nanoseconds since 1970.
    pub modified: i64,
    /// When the content, the name or the permissions were changed.
    pub changed: i64,
}

/// The identity of a file, links followed; `None` if there is no such file.
pub fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| identity_of(&metadata))
}

fn identity_of(metadata: &fs::Metadata) -> Identity {
    let size = metadata.len();
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        Identity {
            inode: (metadata.dev(), metadata.ino()),
            size,
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
    #[cfg(not(unix))]
    {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |time| time.as_nanos() as i64);
        Identity { inode: (0, 0), size, modified, changed: modified }
    }
}
