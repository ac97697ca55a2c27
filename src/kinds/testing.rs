//! For tests of the kinds: runs a stage on files as the engine would.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use tempfile::TempDir;

use crate::base::files::Files;
use crate::base::fsx;
use crate::kinds::KINDS;
use crate::stage::{AnyStage, Artifact, Context, Inputs, ParseError, Registry, StageError};
use crate::table::reference;

/// Runs a stage in these folders (output, scratch), for a user who may want to stop.
pub(super) fn execute(
    stage: &dyn AnyStage,
    inputs: &Inputs,
    (out, scratch): (&Path, &Path),
    is_cancelled: bool,
) -> Result<Artifact, StageError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cancelled = &AtomicBool::new(is_cancelled);
    stage.run(inputs, &Context { out, scratch, root, threads: 2, cancelled, report: &|_| () })?;
    let names = fsx::list(out).unwrap().into_iter();
    let files = Files(names.map(|name| (name.clone(), out.join(name))).collect());
    Ok(Artifact { files, coordinates: BTreeMap::new() })
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
        slots.0.entry(slot).or_default().push(artifact.clone());
    }
    let output =
        execute(&*stage, &slots, (folder.path(), folder.path()), false).map_err(|error| match error {
            StageError::Failed { cause, hint } => format!("{cause}\n{}", hint.unwrap_or_default()),
            StageError::Cancelled => "interrupted".to_owned(),
        })?;
    Ok((folder, output))
}

/// A text file of an artifact.
pub(super) fn read(artifact: &Artifact, name: &str) -> String {
    fsx::read_to_string(artifact.path(name).unwrap()).unwrap()
}

/// An artifact of one file, made with this seed.
pub(super) fn artifact(folder: &Path, name: &str, seed: &str, text: &str) -> Artifact {
    let path = folder.join(format!("{seed}-{name}"));
    fsx::write_atomic(&path, text.as_bytes()).unwrap();
    Artifact {
        files: Files([(name.to_owned(), path)].into()),
        coordinates: [("seed".to_owned(), seed.to_owned())].into(),
    }
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
