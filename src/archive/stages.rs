//! Whether a lock is one of the pipeline file beside it: its names are names, and its stages are those of the file.
//!
//! Keys are not computed anew from the file: that takes the kinds, and those of the version that wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::archive::paths::PAYLOAD;
use crate::archive::problem::Problem;
use crate::base::fsx::FileError;
use crate::base::name;
use crate::engine::Lock;
use crate::engine::lock;
use crate::pipeline::Files;

/// Texts of the files that are looked into, by path in the bag.
pub(super) type Texts = BTreeMap<String, Vec<u8>>;

/// Names of stages and of published files are such as a run gives.
pub(super) fn check_names(lock: &Lock, path: &str) -> Result<(), Problem> {
    if lock.stages.keys().any(|stage| stage.is_empty() || stage.chars().any(char::is_control)) {
        return Err(Problem::file(path, "has a stage with a name that none has"));
    }
    let is_file_name = |name: &String| {
        name::is_safe_path(name)
            && !name.contains('/')
            && ![lock::FILE, lock::SIGNATURE].contains(&name.as_str())
    };
    if !lock.published.keys().all(is_file_name) {
        return Err(Problem::file(path, "has a published file with a name that none has"));
    }
    Ok(())
}

/// Every stage of the lock stands in the pipeline file, or in those that it uses.
pub(super) fn check_stages(lock: &Lock, file: &str, texts: &Texts) -> Result<(), Problem> {
    let read = |path: &Path| {
        let text = texts.get(&format!("{PAYLOAD}{}", path.display()));
        let text = text.and_then(|bytes| String::from_utf8(bytes.clone()).ok());
        text.ok_or_else(|| FileError::new("read", path, io::ErrorKind::NotFound.into()))
    };
    let problem = |what| Problem::file(file, what);
    let text = read(Path::new(file)).map_err(|_| problem("is the pipeline file, and not one of YAML"))?;
    let files = Files::read(file, &text, &read).map_err(|_| problem("is the pipeline file, and not YAML"))?;
    if !files.missing.is_empty() {
        return Err(problem("is the pipeline file, and what it uses is not there"));
    }
    let declared = files.documents.iter().filter_map(|document| document.value["stages"].as_object());
    let declared: BTreeSet<&str> = declared.flat_map(|stages| stages.keys().map(String::as_str)).collect();
    let name =
        |stage: &str| stage.split_once('[').map_or_else(|| stage.to_owned(), |(name, _)| name.to_owned());
    match lock.stages.keys().find(|stage| !declared.contains(name(stage).as_str())) {
        Some(stage) => Err(Problem::stage(stage, "is not one of the pipeline file")),
        None => Ok(()),
    }
}
