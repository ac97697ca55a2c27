//! For tests of the kinds: runs a stage on files as the engine would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use tempfile::TempDir;

use crate::base::cancel::Cancel;
use crate::base::digest::Digest;
use crate::base::files::Files;
use crate::base::fsx;
use crate::kinds::KINDS;
use crate::stage::parts::{Memory, Parts};
use crate::stage::{AnyStage, Artifact, Context, Inputs, ParseError, Registry, StageError};
use crate::table::reference;

/// Runs a stage in these folders (output, scratch), for a user who may want to stop.
pub(super) fn execute(
    stage: &dyn AnyStage,
    inputs: &Inputs,
    folders: (&Path, &Path),
    is_cancelled: bool,
) -> Result<Artifact, StageError> {
    execute_with(stage, inputs, folders, is_cancelled, &Memory::default())
}

/// The same, with parts of earlier executions.
pub(super) fn execute_with(
    stage: &dyn AnyStage,
    inputs: &Inputs,
    (out, scratch): (&Path, &Path),
    is_cancelled: bool,
    parts: &dyn Parts,
) -> Result<Artifact, StageError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stop = AtomicBool::new(is_cancelled);
    let (cancel, log) = (Cancel::new(&stop), &scratch.join("log"));
    let context =
        Context { out, scratch, root, local: None, threads: 2, cancel, parts, log, report: &|_| () };
    stage.run(inputs, &context)?;
    Ok(of_folder(out))
}

/// Runs a stage, and returns its output; or the error and its hint.
pub(super) fn run(
    kind: &str,
    parameters: &Value,
    inputs: &[(&'static str, Artifact)],
) -> Result<(TempDir, Artifact), String> {
    let stage = Registry(KINDS).find(kind).unwrap().parse(parameters).map_err(|error| match error {
        ParseError::Shape { path, message } => format!("{path}: {message}"),
        ParseError::Value(error) => format!("{}: {}\n{}", error.path, error.message, error.hint),
    })?;
    let folder = tempfile::tempdir().unwrap();
    let mut slots = Inputs::default();
    for (slot, artifact) in inputs {
        slots.0.entry((*slot).to_owned()).or_default().push(artifact.clone());
    }
    let output =
        execute(&*stage, &slots, (folder.path(), folder.path()), false).map_err(|error| match error {
            StageError::Failed { cause, hint, .. } => format!("{cause}\n{}", hint.unwrap_or_default()),
            StageError::Cancelled => "interrupted".to_owned(),
        })?;
    Ok((folder, output))
}

/// An artifact of all files below a folder.
pub(super) fn of_folder(folder: &Path) -> Artifact {
    let mut files = BTreeMap::new();
    let mut names = fsx::list(folder).unwrap();
    while let Some(name) = names.pop() {
        let path = folder.join(&name);
        if path.is_dir() {
            names.extend(fsx::list(&path).unwrap().into_iter().map(|below| format!("{name}/{below}")));
        } else {
            files.insert(name, path);
        }
    }
    of_files(files, BTreeMap::new())
}

/// An artifact of these files.
pub(super) fn of_files(files: BTreeMap<String, PathBuf>, coordinates: BTreeMap<String, String>) -> Artifact {
    let digest = |(name, path): (&String, &PathBuf)| (name.clone(), Digest::of_file(path).unwrap().0);
    Artifact { digests: files.iter().map(digest).collect(), files: Files(files), coordinates }
}

/// A text file of an artifact.
pub(super) fn read(artifact: &Artifact, name: &str) -> String {
    fsx::read_to_string(artifact.path(name).unwrap()).unwrap()
}

/// An artifact of one file, made with this seed.
pub(super) fn artifact(folder: &Path, name: &str, seed: &str, text: &str) -> Artifact {
    let path = folder.join(format!("{seed}-{name}"));
    fsx::write_atomic(&path, text.as_bytes()).unwrap();
    of_files([(name.to_owned(), path)].into(), [("seed".to_owned(), seed.to_owned())].into())
}

/// Tidy probes with the published values of a figure, each with something added.
pub(super) fn published(figure: &str, add: f64) -> String {
    let panel = reference::panel(&reference::Choice { figure, ..Default::default() }).unwrap();
    let row = |cell: &reference::Published| {
        let (source, epoch, draw) = match cell.column.as_str() {
            "rerand" => ("rerand", "", "0"),
            epoch => ("reinit", epoch, ""),
        };
        format!(
            "{},{},{source},{epoch},{draw},test,{},{}\n",
            panel.model,
            cell.row,
            panel.metric,
            cell.value + add
        )
    };
    let rows = panel.cells.iter().map(row);
    "model,layer,source,epoch,draw,split,metric,value\n".to_owned() + &rows.collect::<String>()
}
