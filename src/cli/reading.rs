//! What the commands that read results share: where to look, which nodes a name means, what the store knows of them.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::{Target, Vary};
use crate::pipeline::{KeyedNode, Override, target};
use crate::stage::StageKey;
use crate::store::{Record, Store};

/// Options of every command that reads results.
#[derive(Args)]
pub(super) struct Place {
    #[command(flatten)]
    pub(super) vary: Vary,
    /// Where results and the store are [default: results/ beside the folder of the pipeline]
    #[arg(long, value_name = "DIR")]
    pub(super) results: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Place {
    /// The options that vary the pipeline, as they are typed.
    pub(super) fn spelled(&self) -> String {
        let scale = self.vary.scale.iter().map(|scale| format!(" --scale {scale}"));
        let set = |other: &Override| format!(" --set '{}={}'", other.name, other.value);
        scale.chain(self.vary.overrides.iter().map(set)).collect()
    }

    /// Opens a pipeline.
    pub(super) fn project(&self, pipeline: &Path) -> Result<Project, Failure> {
        Project::open(&Target {
            pipeline: pipeline.to_owned(),
            stages: Vec::new(),
            vary: self.vary.clone(),
            results: self.results.clone(),
            json: self.json,
        })
    }

    /// Opens the store without a pipeline; one that is not there is not made.
    pub(super) fn store(&self) -> Result<Store, Failure> {
        let results = self.results.clone().unwrap_or_else(|| "results".into());
        existing_store(&results)?.ok_or_else(|| Failure::Input {
            message: format!("there is no store in '{}'", results.display()),
            hint: "name the results folder with '--results DIR'".to_owned(),
        })
    }
}

/// The store of a results folder, if there is one.
pub(super) fn existing_store(results: &Path) -> Result<Option<Store>, Failure> {
    let folder = results.join("store");
    Ok(if folder.is_dir() { Some(Store::open(&folder)?) } else { None })
}

/// The record of a key, if it is there with all its objects; [`Store::record`] gives it even without them.
pub(super) fn record(store: &Store, key: StageKey) -> Result<Option<Record>, Failure> {
    Ok(store.lookup(key)?)
}

/// The nodes that a target means: at least one.
pub(super) fn nodes<'a>(project: &'a Project, target: &str) -> Result<Vec<&'a KeyedNode>, Failure> {
    let selected = target::select(&project.keyed, &[target.to_owned()])?;
    let nodes = project.keyed.nodes.iter().zip(selected);
    Ok(nodes.filter_map(|(node, is_selected)| is_selected.then_some(node)).collect())
}

/// The names of all stages, each once, in the order of the pipeline.
pub(super) fn stage_names(project: &Project) -> impl Iterator<Item = &str> + Clone {
    let nodes = &project.keyed.nodes;
    let name = |place: usize| nodes[place].node.stage.as_str();
    (0..nodes.len()).filter(move |place| *place == 0 || name(*place) != name(place - 1)).map(name)
}
