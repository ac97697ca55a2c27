//! Where a program runs: a working folder, a home, a folder for temporary files, and per input a folder of links.
//!
//! | variable | value |
//! | --- | --- |
//! | `PATH` | the caller's (a virtual environment works as in the shell); not in the key |
//! | `HOME`, `TMPDIR` | private empty folders |
//! | `LANG`, `TZ` | `C.UTF-8`, `UTC` |
//! | `OMP_NUM_THREADS`, `RAYON_NUM_THREADS` | the threads that the stage has; a program whose bytes depend on them declares them in `env` |
//! | the slots of inputs | the folder with the input's files; a `-` becomes `_` |
//!
//! What `env` declares comes before all of these but the inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::base::fsx::{self, FileError};
use crate::kinds::command::error::{CommandError, hinted};
use crate::kinds::command::paths;
use crate::kinds::command::program::Text;
use crate::stage::{Inputs, StageError};

/// Where programs are when the caller has no PATH.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The folders of one execution.
pub(super) struct Workplace {
    /// Where the program starts.
    pub(super) work: PathBuf,
    home: PathBuf,
    /// Not in the scratch folder: the name of a socket in it may have 107 bytes, and Python's `multiprocessing` makes some.
    temporary: TempDir,
    /// Variable → folder of links to the files of an input.
    inputs: BTreeMap<String, PathBuf>,
}

impl Workplace {
    /// Makes the folders, and in them the links to declared files and inputs.
    pub(super) fn lay_out(
        root: &Path,
        files: &BTreeSet<String>,
        inputs: &Inputs,
        scratch: &Path,
    ) -> Result<Self, StageError> {
        let scratch = fsx::absolute(scratch)?;
        let [work, home, links] = ["work", "home", "inputs"].map(|name| scratch.join(name));
        for folder in [&work, &home, &links] {
            fsx::remove_dir_all(folder)?;
            fsx::create_dir_all(folder)?;
        }
        for path in files {
            let path = paths::bare(path);
            fsx::symlink(&root.join(path), &work.join(path))?;
        }
        let mut folders = BTreeMap::new();
        for (slot, artifacts) in &inputs.0 {
            let (variable, folder) = (slot.replace('-', "_"), links.join(slot));
            fsx::create_dir_all(&folder)?;
            for (name, path) in artifacts.iter().flat_map(|artifact| &artifact.files.0) {
                fsx::symlink(&fsx::absolute(path)?, &folder.join(name))?;
            }
            if folders.insert(variable.clone(), folder).is_some() {
                return Err(hinted(CommandError::Clash { variable }));
            }
        }
        let temporary = tempfile::Builder::new().prefix("layerwise-").tempdir();
        let temporary =
            temporary.map_err(|e| FileError::new("make a folder in", &std::env::temp_dir(), e))?;
        Ok(Self { work, home, temporary, inputs: folders })
    }

    /// The whole environment of the program.
    pub(super) fn environment(
        &self,
        declared: &BTreeMap<String, Text>,
        threads: usize,
    ) -> Result<BTreeMap<String, OsString>, StageError> {
        let threads = threads.to_string();
        let mut environment: BTreeMap<String, OsString> = [
            ("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into())),
            ("HOME", self.home.clone().into()),
            ("TMPDIR", self.temporary.path().into()),
            ("LANG", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("OMP_NUM_THREADS", threads.clone().into()),
            ("RAYON_NUM_THREADS", threads.into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        environment.extend(declared.iter().map(|(name, value)| (name.clone(), value.0.clone().into())));
        for (variable, folder) in &self.inputs {
            if environment.insert(variable.clone(), folder.into()).is_some() {
                return Err(hinted(CommandError::Clash { variable: variable.clone() }));
            }
        }
        Ok(environment)
    }

    /// The folders that the program may write to.
    pub(super) fn writable(&self) -> [PathBuf; 3] {
        [self.work.clone(), self.home.clone(), self.temporary.path().to_owned()]
    }
}

/// Whether a shell can use this name for a variable.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
