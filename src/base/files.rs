//! A set of named files: what an artifact looks like to those who read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Named read-only files. The name is the artifact's; the path is wherever the bytes are kept.
#[derive(Clone, Debug, Default)]
pub struct Files(pub BTreeMap<String, PathBuf>);

/// A file that a reader expected is not in the set.
#[derive(Debug, thiserror::Error)]
#[error("there is no file '{name}' among {}", present.join(", "))]
pub struct NoSuchFile {
    /// The file that was asked for.
    pub name: String,
    /// The files that are there.
    pub present: Vec<String>,
}

impl Files {
    /// Returns where the bytes of this file are.
    pub fn path(&self, name: &str) -> Result<&Path, NoSuchFile> {
        self.0
            .get(name)
            .map(PathBuf::as_path)
            .ok_or_else(|| NoSuchFile { name: name.to_owned(), present: self.0.keys().cloned().collect() })
    }
}
