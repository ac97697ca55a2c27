//! What the commands that read results share: where to look, which nodes a name means, what the store knows of them.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::suggest;
use crate::cli::Target;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::pipeline::{KeyedNode, Override};
use crate::stage::StageKey;
use crate::store::{Record, Store};

/// Options of every command that reads results.
#[derive(Args)]
pub(super) struct Place {
    /// Another value for a parameter or an axis of the pipeline, as in seed=1 or seed=[0,1]
    #[arg(long = "set", value_name = "NAME=VALUE")]
    overrides: Vec<Override>,
    /// Where results and the store are [default: results/ beside the folder of the pipeline]
    #[arg(long, value_name = "DIR")]
    pub(super) results: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Place {
    /// Opens a pipeline.
    pub(super) fn project(&self, pipeline: &Path) -> Result<Project, Failure> {
        Project::open(&Target {
            pipeline: pipeline.to_owned(),
            stages: Vec::new(),
            overrides: self.overrides.clone(),
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

/// The nodes that a name means: `fit` all of a stage, `fit[seed=0]` those at these coordinates. At least one.
pub(super) fn nodes<'a>(project: &'a Project, name: &str) -> Result<Vec<&'a KeyedNode>, Failure> {
    let all = &project.keyed.nodes;
    let exact = |node: &&KeyedNode| node.node.stage.as_str() == name || node.node.to_string() == name;
    let mut found: Vec<_> = all.iter().filter(exact).collect();
    if found.is_empty()
        && let Some((stage, at)) = name.strip_suffix(']').and_then(|name| name.split_once('['))
    {
        let is_there = |node: &&KeyedNode| {
            let coordinates = crate::pipeline::matrix::describe(&node.node.coordinates);
            node.node.stage.as_str() == stage
                && at.split(',').all(|part| coordinates.split(',').any(|own| own == part.trim()))
        };
        found = all.iter().filter(is_there).collect();
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let stage = name.split('[').next().unwrap_or(name);
    let same: Vec<String> =
        all.iter().filter(|node| node.node.stage.as_str() == stage).map(|n| n.node.to_string()).collect();
    let hint = if same.is_empty() {
        suggest::hint(name, stage_names(project))
    } else {
        suggest::one_of(same.iter().map(String::as_str))
    };
    let message = format!("there is no stage '{name}' in pipeline '{}'", project.keyed.pipeline);
    Err(Failure::Input { message, hint })
}

/// The names of all stages, each once, in the order of the pipeline.
pub(super) fn stage_names(project: &Project) -> impl Iterator<Item = &str> + Clone {
    let nodes = &project.keyed.nodes;
    let name = |place: usize| nodes[place].node.stage.as_str();
    (0..nodes.len()).filter(move |place| *place == 0 || name(*place) != name(place - 1)).map(name)
}
