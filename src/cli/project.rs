//! Opens what the command line points at: the pipeline, the folder of the project, the store.

use std::path::{Path, PathBuf};

use crate::base::fsx;
use crate::cli::Target;
use crate::cli::failure::Failure;
use crate::kinds;
use crate::nn::kernels;

use crate::pipeline::{self, DigestOf, Keyed, Override, Surroundings};
use crate::stage::Registry;
use crate::store::{Digests, Store};

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
        let root = root(&target.pipeline);
        let results = target.results.clone().unwrap_or_else(|| root.join("results"));
        let folder = results.join("store");
        let digests = Digests::new(&folder);
        let keyed = load(&target.pipeline, &target.overrides, &|path| digests.of(&root.join(path)))?;
        let store = Store::open(&folder)?;
        Ok(Self { results: results.join(&keyed.pipeline), root, store, keyed })
    }
}

impl Project {
    /// How wide a column of node names is.
    pub(super) fn name_width(&self) -> usize {
        self.keyed.nodes.iter().map(|node| node.node.to_string().len()).max().unwrap_or(0)
    }
}

/// Reads a pipeline; `digest` gives the content of the project's files.
pub(super) fn load(path: &Path, overrides: &[Override], digest: DigestOf<'_>) -> Result<Keyed, Failure> {
    let text = fsx::read_to_string(path).map_err(|error| Failure::Input {
        message: error.to_string(),
        hint: "name a pipeline file, as in 'layerwise run pipelines/fig1.yaml'".to_owned(),
    })?;
    let surroundings = Surroundings {
        registry: Registry(kinds::KINDS),
        numerics: &kernels::numerics_class(),
        digest,
        read: &fsx::read_to_string,
    };
    Ok(pipeline::load(&path.to_string_lossy(), &text, overrides, &surroundings)?)
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
