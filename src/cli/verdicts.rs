//! The verdicts that stand in a folder of results: of the claims of pipeline files, at whatever scales these were run.

use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::cli::failure::Failure;
use crate::cli::project;
use crate::engine::{Lock, publish};
use crate::kinds;
use crate::kinds::claim::FILE;
use crate::nn::kernels;
use crate::pipeline::{Keyed, KeyedNode, Variation};
use crate::stage::StageKey;
use crate::store::Digests;
use crate::table::claim::Judged;

/// A claim of a pipeline file, and what is known of it at one scale.
pub(super) struct Found {
    /// The pipeline's name, with the scale.
    pub(super) pipeline: String,
    /// The file, for the command that gives a verdict.
    pub(super) file: PathBuf,
    /// The scale.
    pub(super) scale: Option<String>,
    /// The node, as in `only-first` or `bottom[depth=11]`.
    pub(super) node: String,
    /// The sentence and its number, as the pipeline has them now.
    pub(super) number: Option<u64>,
    /// Likewise.
    pub(super) says: String,
    /// What the results say.
    pub(super) result: Known,
}

/// What results say of a claim.
pub(super) enum Known {
    /// Nothing: it was not run.
    Nothing,
    /// The pipeline has other parameters now, so that what was run answers another question.
    Outdated,
    /// A verdict.
    Judged(Box<Judged>),
}

/// All claims of pipeline files: of each file at its own size, and at each scale that has results.
pub(super) fn collect(files: &[PathBuf], results: Option<&Path>) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for file in files {
        let root = project::root(file);
        let results = results.map_or_else(|| root.join("results"), Path::to_owned);
        let digests = Digests::new(&results.join("store"));
        // A file that is not there is no obstacle to reading verdicts: their keys are then others.
        let digest = |path: &str| Ok(digests.of(&root.join(path)).unwrap_or_else(|_| Digest::of(b"")));
        let load = |scale: Option<&String>, class: &str| {
            let variation = Variation { scale: scale.cloned(), overrides: Vec::new() };
            project::load_as(file, &variation, class, &digest)
        };
        // Results may come from another machine: their keys are those of its kernels.
        let load = |scale: Option<&String>| {
            let classes = kernels::numerics_classes();
            let mut keyed = vec![load(scale, &classes[0])?];
            if is_other(&keyed[0], &results) {
                let others = classes[1..].iter().map(|class| load(scale, class));
                keyed.extend(others.collect::<Result<Vec<_>, Failure>>()?);
            }
            Ok::<_, Failure>(keyed)
        };
        let keyed = load(None)?;
        if claims(&keyed[0]).next().is_none() {
            continue;
        }
        found.extend(of_pipeline(file, None, &keyed, &results)?);
        for scale in &keyed[0].scales {
            if fsx::is_dir(&results.join(format!("{}-{scale}", keyed[0].pipeline))) {
                let keyed = load(Some(scale))?;
                let of_scale = of_pipeline(file, Some(scale), &keyed, &results)?;
                found.extend(of_scale.into_iter().filter(|claim| !matches!(claim.result, Known::Nothing)));
            }
        }
    }
    Ok(found)
}

/// Whether a claim has a result under another key.
fn is_other(keyed: &Keyed, results: &Path) -> bool {
    let lock = Lock::read(&results.join(&keyed.pipeline));
    let key_of = |node: &KeyedNode| Some(lock.as_ref()?.stages.get(&node.node.to_string())?.key);
    claims(keyed).any(|(_, node)| key_of(node).is_some_and(|key| key != node.key))
}

/// The claims of a pipeline, and their places among its nodes.
fn claims(keyed: &Keyed) -> impl Iterator<Item = (usize, &KeyedNode)> {
    let nodes = keyed.nodes.iter().enumerate();
    nodes.filter(|(_, node)| node.node.work.kind().output == kinds::CLAIM)
}

/// What is known of the claims of a pipeline; `keyed` is the same pipeline with the keys of each numerics class.
fn of_pipeline(
    file: &Path,
    scale: Option<&String>,
    keyed: &[Keyed],
    results: &Path,
) -> Result<Vec<Found>, Failure> {
    let folder = results.join(&keyed[0].pipeline);
    let lock = Lock::read(&folder);
    let found = |(place, node): (usize, &KeyedNode)| {
        let parameters = node.node.work.parameters();
        let keys: Vec<_> = keyed.iter().map(|keyed| keyed.nodes[place].key).collect();
        Ok(Found {
            pipeline: keyed[0].pipeline.clone(),
            file: file.to_owned(),
            scale: scale.cloned(),
            node: node.node.to_string(),
            number: parameters["number"].as_u64(),
            says: parameters["says"].as_str().unwrap_or_default().to_owned(),
            result: known(node, &keys, lock.as_ref(), &folder)?,
        })
    };
    claims(&keyed[0]).map(found).collect()
}

/// What the published file says, if it is what the lock says, and the lock is of one of these keys.
fn known(node: &KeyedNode, keys: &[StageKey], lock: Option<&Lock>, folder: &Path) -> Result<Known, Failure> {
    let Some(entry) = lock.and_then(|lock| lock.stages.get(&node.node.to_string())) else {
        return Ok(Known::Nothing);
    };
    if !keys.contains(&entry.key) {
        return Ok(Known::Outdated);
    }
    let path = folder.join(publish::file_name(&node.node, FILE));
    let bytes = fsx::read(&path)?;
    let judged = serde_json::from_slice(&bytes).ok();
    match judged.filter(|_| entry.outputs.get(FILE) == Some(&Digest::of(&bytes))) {
        Some(judged) => Ok(Known::Judged(Box::new(judged))),
        None => Err(Failure::Input {
            message: format!("'{}' is not what was made: somebody changed it", path.display()),
            hint: "run the pipeline again, which puts it back, or restore it".to_owned(),
        }),
    }
}
