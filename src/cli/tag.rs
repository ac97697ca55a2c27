//! `layerwise tag`.

use std::path::PathBuf;

use clap::Args;

use crate::base::{fsx, name};
use crate::cli::failure::Failure;
use crate::cli::project;
use crate::engine::lock;

/// Arguments of `tag`.
#[derive(Args)]
pub(super) struct Tag {
    /// What to call these results, as in `submitted`
    #[arg(value_parser = parse_name)]
    name: String,
    /// The pipeline: its name, or its folder of results
    pipeline: PathBuf,
    /// Where results and the store are [default: results/ of the project]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

impl Tag {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let results = project::results(self.results.as_deref());
        let store = project::open_store(&results)?;
        let path = store.tags().join(format!("{}.json", self.name));
        for (folder, _) in project::locks(&results, Some(&self.pipeline))? {
            fsx::copy_atomic(&folder.join(lock::FILE), &path)?;
        }
        eprintln!("'layerwise gc' keeps these results until '{}' is removed", path.display());
        Ok(())
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    name::problem(text).map_or_else(|| Ok(text.to_owned()), |problem| Err(problem.to_owned()))
}
