//! Places results into `results/<pipeline>/`, by name, as copies: nothing there is a writable alias of an object.
//!
//! A published file is named after its stage: `table.csv` of the artifact of stage `errors` becomes `errors.csv`, or
//! `errors-seed=1.csv` where the stage has axes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::engine::lock::Lock;
use crate::engine::outcome::Outcome;
use crate::pipeline::matrix::describe;
use crate::pipeline::{Keyed, Node};
use crate::store::Store;

/// What became of the files of a results folder.
#[derive(Debug, Default)]
pub struct Published {
    /// All published files, in the order of the pipeline.
    pub files: Vec<PathBuf>,
    /// Files that somebody had edited: moved aside to these names.
    pub set_aside: Vec<PathBuf>,
    /// Whether the lock became another one, and the signature of the earlier one was removed.
    pub is_unsigned: bool,
}

/// Places the published outputs of a run, removes those that an earlier run placed and this one has not, and writes the lock.
pub fn publish(
    keyed: &Keyed,
    outcomes: &[Option<Outcome>],
    store: &Store,
    folder: &Path,
) -> Result<Published, FileError> {
    let earlier = Lock::read(folder);
    let (lock, names) = intended(keyed, outcomes, earlier.as_ref());
    let mut published = Published::default();
    for name in names {
        let known = earlier.as_ref().and_then(|lock| lock.published.get(&name).copied());
        published.set_aside.extend(place(store, lock.published[&name], &folder.join(&name), known)?);
        published.files.push(folder.join(name));
    }
    for (name, digest) in earlier.iter().flat_map(|lock| &lock.published) {
        if !lock.published.contains_key(name) && digest_of(&folder.join(name)) == Some(*digest) {
            fsx::remove_file(&folder.join(name))?;
        }
    }
    published.is_unsigned = lock.write(folder)?;
    Ok(published)
}

/// The first published file that is not what the lock says, or not there.
pub fn first_other(folder: &Path, lock: &Lock) -> Option<PathBuf> {
    let files = lock.published.iter().map(|(name, digest)| (folder.join(name), *digest));
    let mut others = files.filter(|(path, digest)| digest_of(path) != Some(*digest));
    others.next().map(|(path, _)| path)
}

/// The lock that the outcomes of a run make, and the names of the files that the run publishes, in the order of the pipeline.
pub fn intended(keyed: &Keyed, outcomes: &[Option<Outcome>], earlier: Option<&Lock>) -> (Lock, Vec<String>) {
    let mut lock = Lock::new(keyed, outcomes, earlier);
    let mut names = Vec::new();
    for (node, outcome) in keyed.nodes.iter().zip(outcomes) {
        let Some(summary) = outcome.as_ref().and_then(Outcome::summary) else { continue };
        if node.node.work.kind().published {
            for output in &summary.outputs {
                let name = file_name(&node.node, &output.name);
                lock.published.insert(name.clone(), output.digest);
                names.push(name);
            }
        }
    }
    for (name, digest) in still_wanted(keyed, &lock, earlier) {
        lock.published.entry(name).or_insert(digest);
    }
    (lock, names)
}

/// Files of stages that this run did not want but whose earlier result still holds.
fn still_wanted(keyed: &Keyed, lock: &Lock, earlier: Option<&Lock>) -> BTreeMap<String, Digest> {
    let mut kept = BTreeMap::new();
    for node in keyed.nodes.iter().filter(|node| node.node.work.kind().published) {
        let outputs =
            lock.stages.get(&node.node.to_string()).into_iter().flat_map(|entry| entry.outputs.keys());
        for name in outputs.map(|output| file_name(&node.node, output)) {
            let digest = earlier.and_then(|lock| lock.published.get(&name));
            kept.extend(digest.map(|digest| (name, *digest)));
        }
    }
    kept
}

/// What a file of a stage is called in the folder of results.
pub fn file_name(node: &Node, output: &str) -> String {
    let at = describe(&node.coordinates);
    let separator = if at.is_empty() { "" } else { "-" };
    let extension = output.split_once('.').map_or("", |(_, extension)| extension);
    format!("{}{separator}{at}.{extension}", node.stage)
}

/// Copies an object to its place; an edited file that stood there is moved aside first.
fn place(
    store: &Store,
    digest: Digest,
    target: &Path,
    known: Option<Digest>,
) -> Result<Option<PathBuf>, FileError> {
    let present = digest_of(target);
    if present == Some(digest) {
        return Ok(None);
    }
    let mut aside = None;
    // What the store has too was placed by a run that was killed before it wrote its lock.
    let is_ours = |digest: Digest| Some(digest) == known || fsx::size(&store.object_path(digest)).is_some();
    if present.is_some_and(|present| !is_ours(present)) {
        let path = free_name(target);
        fsx::rename(target, &path)?;
        aside = Some(path);
    }
    let object = store.object_path(digest);
    // What people read is hashed, whatever the object's times say.
    if digest_of(&object) != Some(digest) {
        let cause =
            std::io::Error::other("its bytes are not those of its name: 'layerwise verify --repair' helps");
        return Err(FileError::new("publish", &object, cause));
    }
    fsx::copy_atomic(&object, target)?;
    Ok(aside)
}

/// The first free name for an edited file: `table.csv.edited`, `table.csv.2.edited`.
fn free_name(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let names = std::iter::once(format!("{name}.edited")).chain((2..).map(|n| format!("{name}.{n}.edited")));
    let mut paths = names.map(|name| target.with_file_name(name));
    paths.find(|path| fsx::size(path).is_none()).expect("numbers do not end")
}

fn digest_of(path: &Path) -> Option<Digest> {
    Digest::of_file(path).ok().map(|(digest, _)| digest)
}
