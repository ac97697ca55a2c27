//! Opens what the command line points at: the pipeline, the folder of the project, the store.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::{fsx, suggest};
use crate::cli::Target;
use crate::cli::failure::Failure;
use crate::engine::Lock;
use crate::kinds;
use crate::nn::kernels;

use crate::pipeline::error::SourceText;
use crate::pipeline::{self, DigestOf, Files, Keyed, Node, Surroundings, Variation};
use crate::stage::{Registry, StageError};
use crate::store::{Digests, Store, StoreError};

/// An opened pipeline.
pub(super) struct Project {
    /// The folder that holds `datasets/`.
    pub(super) root: PathBuf,
    /// `results/<pipeline>/`.
    pub(super) results: PathBuf,
    /// The store.
    pub(super) store: Store,
    /// The pipeline.
    pub(super) keyed: Keyed,
}

impl Project {
    pub(super) fn open(target: &Target) -> Result<Self, Failure> {
        Self::open_by(target, &Store::open)
    }

    /// Opens it for one node of many, on whatever host.
    pub(super) fn open_as_worker(target: &Target) -> Result<Self, Failure> {
        Self::open_by(target, &Store::open_as_worker)
    }

    fn open_by(
        target: &Target,
        open: &(dyn Fn(&Path) -> Result<Store, StoreError> + Sync),
    ) -> Result<Self, Failure> {
        let root = root(&target.pipeline);
        let results = target.results.clone().unwrap_or_else(|| root.join("results"));
        let folder = results.join("store");
        let digests = Digests::new(&folder);
        let variation = target.vary.clone().into();
        let load = || load(&target.pipeline, &variation, &|path| digests.of(&root.join(path)));
        // A pipeline with mistakes makes no store; where there is one, both are read at the same time.
        let (keyed, store) = if fsx::is_dir(&folder) {
            rayon::join(load, || open(&folder))
        } else {
            let keyed = load()?;
            (Ok(keyed), open(&folder))
        };
        let (keyed, store) = (keyed?, store?);
        Ok(Self { results: results.join(&keyed.pipeline), root, store, keyed })
    }
}

impl Project {
    /// Where the store is.
    pub(super) fn store_folder(&self) -> PathBuf {
        self.results.with_file_name("store")
    }

    /// How wide a column of node names is.
    pub(super) fn name_width(&self) -> usize {
        self.keyed.nodes.iter().map(|node| node.node.to_string().len()).max().unwrap_or(0)
    }
}

/// The sentence that a pipeline file says of itself; empty if there is none.
pub(super) fn about(pipeline: &Path) -> String {
    let text = fsx::read_to_string(pipeline).unwrap_or_default();
    let head: serde_json::Value = serde_yaml::from_str(&text).unwrap_or_default();
    head["about"].as_str().unwrap_or_default().to_owned()
}

/// Reads a pipeline; `digest` gives the content of the project's files.
pub(super) fn load(path: &Path, variation: &Variation, digest: DigestOf<'_>) -> Result<Keyed, Failure> {
    load_as(path, variation, &kernels::numerics_class(), digest)
}

/// Reads a pipeline with the keys that it has on machines of a numerics class.
pub(super) fn load_as(
    path: &Path,
    variation: &Variation,
    numerics: &str,
    digest: DigestOf<'_>,
) -> Result<Keyed, Failure> {
    let text = fsx::read_to_string(path).map_err(|error| Failure::Input {
        message: error.to_string(),
        hint: "name a pipeline file, as in 'layerwise run pipelines/fig1.yaml'".to_owned(),
    })?;
    let surroundings =
        Surroundings { registry: Registry(kinds::KINDS), numerics, digest, read: &fsx::read_to_string };
    Ok(pipeline::load(&path.to_string_lossy(), &text, variation, &surroundings)?)
}

/// The part of a pipeline file that made a stage fail, if it was a parameter.
pub(super) fn blamed(path: &Path, node: &Node, error: &StageError) -> Option<(SourceText, Range<usize>)> {
    let StageError::Failed { parameter: Some(parameter), .. } = error else { return None };
    let text = fsx::read_to_string(path).ok()?;
    let files = Files::read(&path.to_string_lossy(), &text, &fsx::read_to_string).ok()?;
    let file = files.file_of(node.stage.as_str());
    let path = format!("stages.{}.{}.{}", node.stage, node.work.kind().name, parameter.path);
    let (document, span) = (&files.documents[file], files.locate(file, &path));
    let span = parameter.place.map_or(span.clone(), |place| place.in_scalar(&document.text, span));
    Some((SourceText { name: document.name.clone(), text: document.text.clone() }, span))
}

/// Where results and the store are, for commands that need no pipeline file.
pub(super) fn results(chosen: Option<&Path>) -> PathBuf {
    chosen.map_or_else(|| root(Path::new("pipelines/any")).join("results"), Path::to_owned)
}

/// Opens the store of a folder of results; it is not made if there is none.
pub(super) fn open_store(results: &Path) -> Result<Store, Failure> {
    if !results.join("store").is_dir() {
        return Err(Failure::Input {
            message: format!("there is no store in '{}'", results.display()),
            hint: "run a pipeline first, or name the folder with '--results DIR'".to_owned(),
        });
    }
    Ok(Store::open(&results.join("store"))?)
}

/// The locks below a folder of results, all or that of one pipeline, which is given by its name, its file or
/// its folder.
pub(super) fn locks(results: &Path, pipeline: Option<&Path>) -> Result<Vec<(PathBuf, Lock)>, Failure> {
    let mut locks = Lock::all(results)?;
    let Some(pipeline) = pipeline else { return Ok(locks) };
    let name = pipeline_name(pipeline);
    let names: Vec<String> = locks.iter().map(|(_, lock)| lock.pipeline.clone()).collect();
    locks.retain(|(_, lock)| lock.pipeline == name);
    if locks.is_empty() {
        return Err(Failure::Input {
            message: format!("there is no lock of '{name}' in '{}'", results.display()),
            hint: suggest::hint(&name, names.iter().map(String::as_str)),
        });
    }
    Ok(locks)
}

/// The name of the pipeline that a path means: a pipeline file, or else something that has the name itself.
pub(super) fn pipeline_name(path: &Path) -> String {
    #[derive(serde::Deserialize)]
    struct Head {
        pipeline: String,
    }
    let is_file = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let head = || serde_yaml::from_str::<Head>(&fsx::read_to_string(path).ok()?).ok();
    let name = if is_file { path.file_stem() } else { path.file_name() };
    let written = if is_file { head() } else { None };
    written.map_or_else(|| name.unwrap_or_default().to_string_lossy().into_owned(), |head| head.pipeline)
}

/// The nearest folder above the pipeline file that holds `datasets/`; the current one if none does.
pub(super) fn root(pipeline: &Path) -> PathBuf {
    let absolute = std::path::absolute(pipeline).unwrap_or_default();
    let found = absolute.ancestors().skip(1).find(|folder| folder.join("datasets").is_dir());
    let current = std::env::current_dir().unwrap_or_default();
    match found {
        // A short path reads better in messages.
        Some(folder) => folder.strip_prefix(&current).unwrap_or(folder).to_owned(),
        None => PathBuf::new(),
    }
}
