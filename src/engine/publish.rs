//! Places results into `results/<pipeline>/`, by name, as copies: nothing there is a writable alias of an object.
//!
//! A published file is named after its stage: `table.csv` of the artifact of stage `errors` becomes `errors.csv`, or
//! `errors-seed=1.csv` where the stage has axes.

use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::engine::lock::Lock;
use crate::engine::outcome::Outcome;
use crate::pipeline::matrix::describe;
use crate::pipeline::{Keyed, Node};
use crate::store::{Output, Store};

/// What became of the files of a results folder.
#[derive(Debug, Default)]
pub struct Published {
    /// All published files, in the order of the pipeline.
    pub files: Vec<PathBuf>,
    /// Files that somebody had edited: moved aside to these names.
    pub set_aside: Vec<PathBuf>,
}

/// Places the published outputs of a run, removes those that an earlier run placed and this one has not, and writes the lock.
pub fn publish(
    keyed: &Keyed,
    outcomes: &[Option<Outcome>],
    store: &Store,
    folder: &Path,
) -> Result<Published, FileError> {
    let earlier = Lock::read(folder);
    let mut lock = Lock::new(keyed, outcomes, earlier.as_ref());
    let mut published = Published::default();
    for (node, outcome) in keyed.nodes.iter().zip(outcomes) {
        let Some(record) = outcome.as_ref().and_then(Outcome::record) else { continue };
        if !node.node.work.kind().published {
            continue;
        }
        for output in &record.outputs {
            let name = file_name(&node.node, &output.name);
            let known = earlier.as_ref().and_then(|lock| lock.published.get(&name).copied());
            published.set_aside.extend(place(store, output, &folder.join(&name), known)?);
            published.files.push(folder.join(&name));
            lock.published.insert(name, output.digest);
        }
    }
    for (name, digest) in earlier.iter().flat_map(|lock| &lock.published) {
        if lock.published.contains_key(name) {
            continue;
        }
        if is_still_wanted(keyed, &lock, name) {
            lock.published.insert(name.clone(), *digest);
        } else if digest_of(&folder.join(name)) == Some(*digest) {
            fsx::remove_file(&folder.join(name))?;
        }
    }
    lock.write(folder)?;
    Ok(published)
}

/// Whether a file belongs to a stage that this run did not want but whose earlier result still holds.
fn is_still_wanted(keyed: &Keyed, lock: &Lock, name: &str) -> bool {
    keyed.nodes.iter().any(|node| {
        let entry = lock.stages.get(&node.node.to_string());
        entry.is_some_and(|entry| entry.outputs.keys().any(|output| file_name(&node.node, output) == name))
    })
}

fn file_name(node: &Node, output: &str) -> String {
    let at = describe(&node.coordinates);
    let separator = if at.is_empty() { "" } else { "-" };
    let extension = output.split_once('.').map_or("", |(_, extension)| extension);
    format!("{}{separator}{at}.{extension}", node.stage)
}

/// Copies an output to its place; an edited file that stood there is moved aside first.
fn place(
    store: &Store,
    output: &Output,
    target: &Path,
    known: Option<Digest>,
) -> Result<Option<PathBuf>, FileError> {
    let present = digest_of(target);
    if present == Some(output.digest) {
        return Ok(None);
    }
    let mut aside = None;
    if present.is_some() && known.is_some() && present != known {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!("{name}.edited"));
        fsx::rename(target, &path)?;
        aside = Some(path);
    }
    fsx::write_atomic(target, &fsx::read(&store.object_path(output.digest))?)?;
    Ok(aside)
}

fn digest_of(path: &Path) -> Option<Digest> {
    Digest::of_file(path).ok().map(|(digest, _)| digest)
}
