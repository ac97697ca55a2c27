//! What a program may read and write, beside what its stage declares: the system, and the installations that PATH leads to.
//!
//! A rule covers a folder with all that is below, and Landlock cannot subtract. So a system folder that holds the project is
//! given as all that is beside the way to it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::base::fsx::{self, FileError};

/// Where programs, libraries, their configuration and data are.
const SYSTEM: [&str; 16] = [
    "/bin", "/etc", "/gnu", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/opt", "/proc", "/run", "/sbin",
    "/snap", "/sys", "/usr", "/var",
];
/// `/dev/null` and its like, accelerators.
const DEVICES: &str = "/dev";
/// Where Python's `multiprocessing` and PyTorch's loaders share memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// What the system's part of an access depends on.
#[derive(Clone, Copy)]
pub(super) struct System<'a> {
    /// The project's folder.
    pub(super) root: &'a Path,
    /// The program's PATH.
    pub(super) path: &'a OsStr,
}

/// Those paths that are not below another one of them.
pub(super) fn outermost(paths: impl Iterator<Item = PathBuf>) -> BTreeSet<PathBuf> {
    let mut kept = BTreeSet::new();
    // A folder sorts before what is below it.
    for path in paths.collect::<BTreeSet<_>>() {
        if !path.ancestors().any(|folder| kept.contains(folder)) {
            kept.insert(path);
        }
    }
    kept
}

/// Paths that a program may use, each with all that is below it; those that do not exist are skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Access {
    /// Read and execute.
    pub(super) read: BTreeSet<PathBuf>,
    /// Read and write, but not create or remove.
    pub(super) devices: BTreeSet<PathBuf>,
    /// Everything.
    pub(super) write: BTreeSet<PathBuf>,
}

impl Access {
    /// What every program may use, whatever its stage declares.
    pub(super) fn of_system(system: System<'_>, program: &OsStr) -> Result<Self, FileError> {
        let System { root, path } = system;
        let root = fsx::canonicalize(root)?;
        let mut read = BTreeSet::new();
        for folder in SYSTEM {
            read.extend(beside(Path::new(folder), &root)?);
        }
        for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
            let python = folder.join("python3");
            read.extend(installation(&python, &root));
            // The Python of a virtual environment is a link to the one that it was made with.
            if fsx::link_metadata(&python).is_ok_and(|metadata| metadata.is_symlink()) {
                read.extend(installation(&fsx::canonicalize(&python).unwrap_or(python), &root));
            }
        }
        let program = Path::new(program);
        read.extend(installation(&fsx::canonicalize(program).unwrap_or_else(|_| program.to_owned()), &root));
        Ok(Self { read, devices: [DEVICES.into()].into(), write: [SHARED_MEMORY.into()].into() })
    }
}

/// A folder; or, if it holds the project, what is in it beside the way there.
fn beside(folder: &Path, root: &Path) -> Result<Vec<PathBuf>, FileError> {
    if !root.starts_with(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    if root == folder {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for name in fsx::list(folder)? {
        found.extend(beside(&folder.join(name), root)?);
    }
    Ok(found)
}

/// The folder of a program, and the one above it (for `lib` beside `bin`) unless that holds the project or the user's home.
fn installation(program: &Path, root: &Path) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let is_too_much = |folder: &Path| {
        root.starts_with(folder) || home.as_ref().is_some_and(|home| home.starts_with(folder))
    };
    program.ancestors().skip(1).take(2).filter(|folder| !is_too_much(folder)).map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_another_needs_no_rule() {
        let paths = ["/usr/bin", "/usr", "/opt/a", "/opt/ab", "/usr/lib"].map(PathBuf::from);
        let kept: Vec<_> = outermost(paths.into_iter()).into_iter().collect();
        assert_eq!(kept, ["/opt/a", "/opt/ab", "/usr"].map(PathBuf::from));
    }

    #[test]
    fn a_folder_that_holds_the_project_is_given_without_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "src/b", "src/project/data"] {
            fsx::create_dir_all(&folder.path().join(name)).unwrap();
        }
        let root = folder.path().join("src/project");
        let names = ["a", "src/b"].map(|name| folder.path().join(name));
        assert_eq!(beside(folder.path(), &root).unwrap(), names);
        assert_eq!(beside(&root, &root).unwrap(), [""; 0].map(PathBuf::from));
        assert_eq!(beside(&names[0], &root).unwrap(), [names[0].clone()]);
    }

    #[test]
    fn an_installation_is_the_program_s_folder_and_the_one_above_but_never_the_project() {
        let of = |program: &str, root: &str| installation(Path::new(program), Path::new(root));
        assert_eq!(of("/p/.venv/bin/python9", "/p"), ["/p/.venv/bin", "/p/.venv"].map(PathBuf::from));
        assert_eq!(of("/p/bin/tool", "/p"), [PathBuf::from("/p/bin")]);
        assert_eq!(of("/p/tool", "/p"), [""; 0].map(PathBuf::from));
    }
}
