//! `layerwise tag`.

use std::path::PathBuf;

use clap::Args;

use crate::base::{fsx, name, suggest};
use crate::cli::failure::Failure;
use crate::cli::{page, project};
use crate::engine::lock::{self, Lock};
use crate::store::Store;

/// Arguments of `tag`.
#[derive(Args)]
#[command(override_usage = "\
layerwise tag [OPTIONS] <NAME> <PIPELINE>
       layerwise tag [OPTIONS] --list
       layerwise tag [OPTIONS] --remove <NAME>")]
pub(super) struct Tag {
    /// What to call these results, as in `submitted`
    #[arg(value_parser = parse_name, required_unless_present_any = ["list", "remove"])]
    name: Option<String>,
    /// The pipeline: its name, its file, or its folder of results
    #[arg(required_unless_present_any = ["list", "remove"])]
    pipeline: Option<PathBuf>,
    /// Say which tags there are
    #[arg(long, conflicts_with_all = ["name", "remove"])]
    list: bool,
    /// Remove this tag; 'layerwise gc' no longer keeps what only it refers to
    #[arg(long, value_name = "NAME", value_parser = parse_name, conflicts_with = "name")]
    remove: Option<String>,
    /// Where results and the store are [default: results/ of the project]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

impl Tag {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let results = project::results(self.results.as_deref());
        let store = project::open_store(&results)?;
        if let Some(name) = self.remove {
            return remove(&store, &name);
        }
        let (Some(name), Some(pipeline)) = (self.name, self.pipeline) else { return list(&store) };
        for (folder, _) in project::locks(&results, Some(&pipeline))? {
            fsx::copy_atomic(&folder.join(lock::FILE), &path(&store, &name))?;
        }
        eprintln!("'layerwise gc' keeps these results until 'layerwise tag --remove {name}'");
        Ok(())
    }
}

/// Where a tag lies: a copy of a lock.
pub(super) fn path(store: &Store, name: &str) -> PathBuf {
    store.tags().join(format!("{name}.json"))
}

/// The names of all tags.
fn names(store: &Store) -> Result<Vec<String>, Failure> {
    let files = fsx::files_below(&store.tags())?;
    Ok(files.iter().filter_map(|file| file.strip_suffix(".json")).map(str::to_owned).collect())
}

fn list(store: &Store) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for name in names(store)? {
        let lock = Lock::parse(&fsx::read(&path(store, &name))?);
        let (pipeline, stages) = lock.map_or_else(
            || ("not a lock of this version".to_owned(), String::new()),
            |lock| (lock.pipeline, page::count(lock.stages.len(), "stage")),
        );
        rows.push(vec![name, pipeline, stages]);
    }
    page::print(page::columns(&rows, ""))
}

fn remove(store: &Store, name: &str) -> Result<(), Failure> {
    let known = names(store)?;
    if !known.iter().any(|known| known == name) {
        let hint = suggest::hint(name, known.iter().map(String::as_str));
        return Err(Failure::Input { message: format!("there is no tag '{name}'"), hint });
    }
    Ok(fsx::remove_file(&path(store, name))?)
}

fn parse_name(text: &str) -> Result<String, String> {
    name::problem(text).map_or_else(|| Ok(text.to_owned()), |problem| Err(problem.to_owned()))
}
