//! The verdicts that stand in a folder of results: of the claims of pipeline files, at whatever scales these were run.

use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::cli::failure::Failure;
use crate::cli::project;
use crate::engine::{Lock, publish};
use crate::kinds;
use crate::kinds::claim::FILE;
use crate::pipeline::{Keyed, KeyedNode, Variation};
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
        let load = |scale: Option<&String>| {
            let variation = Variation { scale: scale.cloned(), overrides: Vec::new() };
            // A file that is not there is no obstacle to reading verdicts: their keys are then others.
            let digest = |path: &str| Ok(digests.of(&root.join(path)).unwrap_or_else(|_| Digest::of(b"")));
            project::load(file, &variation, &digest)
        };
        let keyed = load(None)?;
        if claims(&keyed).next().is_none() {
            continue;
        }
        found.extend(of_pipeline(file, None, &keyed, &results)?);
        for scale in &keyed.scales {
            if fsx::is_dir(&results.join(format!("{}-{scale}", keyed.pipeline))) {
                let of_scale = of_pipeline(file, Some(scale), &load(Some(scale))?, &results)?;
                found.extend(of_scale.into_iter().filter(|claim| !matches!(claim.result, Known::Nothing)));
            }
        }
    }
    Ok(found)
}

fn claims(keyed: &Keyed) -> impl Iterator<Item = &KeyedNode> {
    keyed.nodes.iter().filter(|node| node.node.work.kind().output == kinds::CLAIM)
}

fn of_pipeline(
    file: &Path,
    scale: Option<&String>,
    keyed: &Keyed,
    results: &Path,
) -> Result<Vec<Found>, Failure> {
    let folder = results.join(&keyed.pipeline);
    let lock = Lock::read(&folder);
    let found = |node: &KeyedNode| {
        let parameters = node.node.work.parameters();
        Ok(Found {
            pipeline: keyed.pipeline.clone(),
            file: file.to_owned(),
            scale: scale.cloned(),
            node: node.node.to_string(),
            number: parameters["number"].as_u64(),
            says: parameters["says"].as_str().unwrap_or_default().to_owned(),
            result: known(node, lock.as_ref(), &folder)?,
        })
    };
    claims(keyed).map(found).collect()
}

/// What the published file says, if it is what the lock says.
fn known(node: &KeyedNode, lock: Option<&Lock>, folder: &Path) -> Result<Known, Failure> {
    let Some(entry) = lock.and_then(|lock| lock.stages.get(&node.node.to_string())) else {
        return Ok(Known::Nothing);
    };
    if entry.key != node.key {
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
