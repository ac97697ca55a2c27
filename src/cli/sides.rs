//! What `diff` compares: a lock that lies somewhere, one of a git revision, or what a pipeline file says now.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::base::{fsx, name};
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::reading::{self, Place};
use crate::cli::tag;
use crate::engine::Lock;
use crate::engine::lock::{Entry, FILE};
use crate::stage::{KeyFields, StageKey};
use crate::store::Store;

/// One side of a comparison.
pub(super) struct Side {
    /// What to call it.
    pub(super) title: String,
    /// What it holds.
    pub(super) lock: Lock,
    /// The folder of its pipeline's results.
    pub(super) folder: PathBuf,
    /// The store that may know more.
    pub(super) store: Option<Store>,
    /// What is known of keys that may have no record yet.
    pub(super) fields: BTreeMap<StageKey, KeyFields>,
}

/// Finds both sides from one word or two.
pub(super) fn pair(words: &[String], pipeline: Option<&str>, place: &Place) -> Result<[Side; 2], Failure> {
    match words {
        [] => Ok([revision("HEAD", &only(pipeline, place)?)?, lock(&only(pipeline, place)?.join(FILE))?]),
        [one] if is_pipeline(one) => {
            let now = declared(Path::new(one), place)?;
            Ok([lock(&now.folder.join(FILE))?, now])
        }
        [one] => {
            if let Some(path) = place_of(one, place) {
                let after = lock(&path)?;
                return Ok([revision("HEAD", &after.folder)?, after]);
            }
            if let Some(before) = tagged(one, place)? {
                let after = lock(&before.folder.join(FILE))?;
                return Ok([before, after]);
            }
            let folder = only(pipeline, place)?;
            Ok([revision(one, &folder)?, lock(&folder.join(FILE))?])
        }
        [before, after, ..] => {
            let known = |word: &str| -> Result<Option<Side>, Failure> {
                if is_pipeline(word) {
                    return declared(Path::new(word), place).map(Some);
                }
                match place_of(word, place) {
                    Some(path) => lock(&path).map(Some),
                    None => tagged(word, place),
                }
            };
            let (before_side, after_side) = (known(before)?, known(after)?);
            let folder = match before_side.as_ref().or(after_side.as_ref()) {
                Some(side) => side.folder.clone(),
                None => only(pipeline, place)?,
            };
            let or_revision =
                |side: Option<Side>, word: &str| side.map_or_else(|| revision(word, &folder), Ok);
            Ok([or_revision(before_side, before)?, or_revision(after_side, after)?])
        }
    }
}

fn is_pipeline(word: &str) -> bool {
    let extension = Path::new(word).extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| ["yaml", "yml"].contains(&extension))
}

fn results(place: &Place) -> PathBuf {
    place.results.clone().unwrap_or_else(|| "results".into())
}

/// The lock file that a word names: itself, that of a folder, or that of a pipeline.
fn place_of(word: &str, place: &Place) -> Option<PathBuf> {
    let candidates = [PathBuf::from(word), Path::new(word).join(FILE), results(place).join(word).join(FILE)];
    candidates.into_iter().find(|path| path.is_file())
}

/// What was tagged with a word.
fn tagged(word: &str, place: &Place) -> Result<Option<Side>, Failure> {
    let is_name = name::problem(word).is_none();
    let Some(store) = reading::existing_store(&results(place))?.filter(|_| is_name) else { return Ok(None) };
    let path = tag::path(&store, word);
    if fsx::size(&path).is_none() {
        return Ok(None);
    }
    let (title, lock) = (format!("tag '{word}'"), parse(&path.display().to_string(), &fsx::read(&path)?)?);
    let folder = results(place).join(&lock.pipeline);
    Ok(Some(Side { title, lock, folder, store: Some(store), fields: BTreeMap::new() }))
}

/// The results folder of the pipeline that is named, or of the only one.
fn only(pipeline: Option<&str>, place: &Place) -> Result<PathBuf, Failure> {
    let results = results(place);
    if let Some(pipeline) = pipeline {
        return Ok(results.join(pipeline));
    }
    let names = fsx::list(&results).unwrap_or_default();
    let names: Vec<_> = names.into_iter().filter(|name| results.join(name).join(FILE).is_file()).collect();
    match &names[..] {
        [name] => Ok(results.join(name)),
        [] => Err(Failure::Input {
            message: format!("there is no lock in '{}'", results.display()),
            hint: "run a pipeline first, or name the results folder with '--results DIR'".to_owned(),
        }),
        names => Err(Failure::Input {
            message: format!("there are {} pipelines in '{}'", names.len(), results.display()),
            hint: format!("choose one with '--pipeline': {}", names.join(", ")),
        }),
    }
}

fn lock(path: &Path) -> Result<Side, Failure> {
    let bytes = fsx::read(path).map_err(|error| Failure::Input {
        message: error.to_string(),
        hint: "run the pipeline first: 'layerwise run' writes its lock".to_owned(),
    })?;
    side(path.display().to_string(), &bytes, path.parent().unwrap_or(Path::new("")))
}

fn side(title: String, bytes: &[u8], folder: &Path) -> Result<Side, Failure> {
    let lock = parse(&title, bytes)?;
    let store = reading::existing_store(&folder.join(".."))?;
    Ok(Side { title, lock, folder: folder.to_owned(), store, fields: BTreeMap::new() })
}

fn parse(title: &str, bytes: &[u8]) -> Result<Lock, Failure> {
    Lock::parse(bytes).ok_or_else(|| Failure::Input {
        message: format!("'{title}' is not a lock of this version"),
        hint: "name a lock.json that this version of layerwise wrote".to_owned(),
    })
}

/// What a pipeline file says now: keys of all stages, outputs of those that are done.
fn declared(path: &Path, place: &Place) -> Result<Side, Failure> {
    let Project { keyed, store, results: folder, .. } = place.project(path)?;
    let mut stages = BTreeMap::new();
    for node in &keyed.nodes {
        let outputs = reading::record(&store, node.key)?.map(|record| record.outputs).unwrap_or_default();
        let outputs = outputs.into_iter().map(|output| (output.name, output.digest)).collect();
        stages
            .insert(node.node.to_string(), Entry { kind: node.fields.kind.clone(), key: node.key, outputs });
    }
    let fields = keyed.nodes.iter().map(|node| (node.key, node.fields.clone())).collect();
    // What would be published is not known before a run; the present lock says what was.
    let published = Lock::read(&folder).map(|lock| lock.published).unwrap_or_default();
    let lock = Lock { format: 1, pipeline: keyed.pipeline, stages, published };
    Ok(Side { title: path.display().to_string(), lock, folder, store: Some(store), fields })
}

/// The lock that a git revision has in this folder.
fn revision(word: &str, folder: &Path) -> Result<Side, Failure> {
    let at = if folder.is_dir() { folder } else { Path::new(".") };
    let unknown = |hint: &str| Failure::Input {
        message: format!(
            "'{word}' is neither a lock, a results folder or pipeline with one, nor a tag, nor a git revision"
        ),
        hint: hint.to_owned(),
    };
    if git(at, &["rev-parse", "--git-dir"])?.is_none() {
        return Err(unknown("name two locks, or work in a git repository"));
    }
    if git(at, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{word}^{{commit}}")])?
        .is_none()
    {
        return Err(unknown("see 'git log' for revisions, as in HEAD~1"));
    }
    let title = format!("{} at {word}", folder.join(FILE).display());
    let bytes = git(at, &["show", "--end-of-options", &format!("{word}:./{FILE}")])?;
    let bytes = bytes.ok_or_else(|| Failure::Input {
        message: format!("revision '{word}' has no '{}'", folder.join(FILE).display()),
        hint: "choose a revision in which the lock was tracked".to_owned(),
    })?;
    side(title, &bytes, folder)
}

/// What git prints; `None` if it refuses.
fn git(folder: &Path, arguments: &[&str]) -> Result<Option<Vec<u8>>, Failure> {
    match Command::new("git").arg("-C").arg(folder).args(arguments).output() {
        Ok(output) => Ok(output.status.success().then_some(output.stdout)),
        Err(error) => Err(Failure::Input {
            message: match error.kind() {
                ErrorKind::NotFound => "git is not installed, so revisions cannot be read".to_owned(),
                _ => format!("cannot start git: {error}"),
            },
            hint: "install git, or name two lock files".to_owned(),
        }),
    }
}
