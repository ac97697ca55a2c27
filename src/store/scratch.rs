//! A store beside a store, for work whose result is compared and thrown away.

use std::path::PathBuf;

use crate::base::fsx;
use crate::store::{Store, StoreError};

/// A store that is removed when this is dropped. One that a killed process left is removed by a collection.
#[derive(Debug)]
pub struct ScratchStore {
    /// The store.
    pub store: Store,
    folder: PathBuf,
}

impl Store {
    /// Opens an empty store on the same file system.
    pub fn scratch(&self) -> Result<ScratchStore, StoreError> {
        let folder = self.root.with_file_name(format!("rerun-{}", std::process::id()));
        fsx::remove_dir_all(&folder)?;
        Ok(ScratchStore { store: Self::open(&folder)?, folder })
    }
}

impl Drop for ScratchStore {
    fn drop(&mut self) {
        let _ = fsx::remove_dir_all(&self.folder);
    }
}
