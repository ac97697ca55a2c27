//! Where a program runs: a working folder, a private folder, and per input a folder of links.
//!
//! | variable | value |
//! | --- | --- |
//! | `PATH` | the caller's (a virtual environment works as in the shell); not in the key |
//! | `HOME`, `TMPDIR` | one private folder, empty |
//! | `LC_CTYPE`, `TZ` | `C.UTF-8`, `UTC`; the first not beside a declared `LANG` |
//! | `OMP_NUM_THREADS`, `RAYON_NUM_THREADS` | the threads that the stage has; a program whose bytes depend on them declares them in `env` |
//! | the slots of inputs | the folder with the input's files; a `-` becomes `_` |
//!
//! What `env` declares comes before all of these but the inputs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tempfile::TempDir;

use crate::base::fsx::{self, FileError};
use crate::kinds::command::error::{CommandError, hinted};
use crate::kinds::command::paths;
use crate::kinds::command::program::Text;
use crate::stage::{Inputs, StageError};

/// Where programs are when the caller has no PATH.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

thread_local! {
    /// The private folder of the programs that this thread runs, one after the other. Not in the store: the name of a socket in it
    /// may have 107 bytes, and Python's `multiprocessing` makes some.
    static PRIVATE: RefCell<Option<Rc<Private>>> = const { RefCell::new(None) };
}

/// What the programs of one thread have beside their working folders.
struct Private {
    /// Home, and for temporary files.
    home: TempDir,
    /// For each slot that a program had, the folder of its input.
    links: TempDir,
}

/// The folders of one execution.
pub(super) struct Workplace {
    /// Where the program starts.
    pub(super) work: PathBuf,
    private: Rc<Private>,
    /// Variable → folder of links to the files of an input.
    inputs: BTreeMap<String, PathBuf>,
    /// Those links.
    links: Vec<PathBuf>,
    /// Folders of objects that the links only point to.
    pointed: BTreeSet<PathBuf>,
}

impl Workplace {
    /// Makes the folders, and in them the links to declared files and inputs. The program starts in the scratch folder.
    pub(super) fn lay_out(
        root: &Path,
        files: &BTreeSet<String>,
        inputs: &Inputs,
        scratch: &Path,
    ) -> Result<Self, StageError> {
        let (work, private) = (fsx::absolute(scratch)?, private()?);
        let mut place =
            Self { work, private, inputs: BTreeMap::new(), links: Vec::new(), pointed: BTreeSet::new() };
        for path in files {
            let path = paths::bare(path);
            fsx::symlink(&root.join(path), &place.work.join(path))?;
        }
        for (slot, artifacts) in &inputs.0 {
            let variable = slot.replace('-', "_");
            let folder = place.private.links.path().join(slot);
            // Where there are files, the first link makes it.
            if artifacts.iter().all(|artifact| artifact.files.0.is_empty()) {
                fsx::create_dir_all(&folder)?;
            }
            if place.inputs.insert(variable.clone(), folder.clone()).is_some() {
                return Err(hinted(CommandError::Clash { variable }));
            }
            for (name, path) in artifacts.iter().flat_map(|artifact| &artifact.files.0) {
                place.link(path, folder.join(name))?;
            }
        }
        Ok(place)
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
            ("HOME", self.home().into()),
            ("TMPDIR", self.home().into()),
            // Not LANG: all else in that locale is as in C, and each program would open a dozen files to learn it.
            ("LC_CTYPE", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("OMP_NUM_THREADS", threads.clone().into()),
            ("RAYON_NUM_THREADS", threads.into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if declared.contains_key("LANG") {
            environment.remove("LC_CTYPE");
        }
        environment.extend(declared.iter().map(|(name, value)| (name.clone(), value.0.clone().into())));
        for (variable, folder) in &self.inputs {
            if environment.insert(variable.clone(), folder.into()).is_some() {
                return Err(hinted(CommandError::Clash { variable: variable.clone() }));
            }
        }
        Ok(environment)
    }

    /// The folders that the program may write to.
    pub(super) fn writable(&self) -> [PathBuf; 2] {
        [self.work.clone(), self.home()]
    }

    /// The folders of links, and those that the links lead to; the program may only read them.
    pub(super) fn readable(&self) -> impl Iterator<Item = &PathBuf> {
        self.inputs.values().chain(&self.pointed)
    }

    /// Whether an input is not in this workplace itself.
    pub(super) fn points_elsewhere(&self) -> bool {
        !self.pointed.is_empty()
    }

    /// Gives an object a second name; a symbolic one where it is on another file system, or another user's. The object is read-only,
    /// and a file system gives out no inode for a second name.
    fn link(&mut self, object: &Path, name: PathBuf) -> Result<(), FileError> {
        if fsx::hard_link(object, &name).is_err() {
            let object = fsx::absolute(object)?;
            fsx::symlink(&object, &name)?;
            self.pointed.extend(object.parent().map(Path::to_owned));
        }
        self.links.push(name);
        Ok(())
    }

    fn home(&self) -> PathBuf {
        self.private.home.path().to_owned()
    }
}

impl Drop for Workplace {
    /// Leaves the private folders to the next program, unless they are used up.
    fn drop(&mut self) {
        let removed = self.links.iter().try_for_each(|link| fsx::remove_file(link));
        let inputs =
            removed.and_then(|()| self.inputs.values().try_for_each(|folder| fsx::clear_dir(folder)));
        if inputs.is_err() || !fsx::is_empty_dir(&self.home()).unwrap_or(false) {
            PRIVATE.take();
        }
    }
}

/// The private folders of this thread, empty.
fn private() -> Result<Rc<Private>, FileError> {
    if let Some(private) = PRIVATE.with_borrow(Clone::clone) {
        return Ok(private);
    }
    let make = || {
        let folder = || tempfile::Builder::new().prefix("layerwise-").to_owned();
        let home = folder().tempdir()?;
        Ok(Rc::new(Private { home, links: folder().tempdir()? }))
    };
    let private = make().map_err(|e| FileError::new("make a folder in", &std::env::temp_dir(), e))?;
    PRIVATE.set(Some(Rc::clone(&private)));
    Ok(private)
}

/// Whether a shell can use this name for a variable.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
