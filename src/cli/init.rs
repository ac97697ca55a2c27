//! `layerwise init`: a commented pipeline to start from.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::{fsx, name};
use crate::cli::failure::Failure;
use crate::cli::page::outln;

/// What is written; the name stands at `NAME`.
const STARTER: &str = include_str!("starter.yaml");

/// Arguments of `init`.
#[derive(Args)]
pub(super) struct Init {
    /// A folder, or a file that ends in .yaml
    #[arg(default_value = "pipelines")]
    path: PathBuf,
}

impl Init {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let is_file =
            self.path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let path = if is_file { self.path } else { self.path.join("starter.yaml") };
        let text = STARTER.replace("FILE", &path.to_string_lossy()).replace("NAME", pipeline_name(&path));
        fsx::write_new(&path, text.as_bytes()).map_err(|error| {
            let (message, hint) = if error.source.kind() == std::io::ErrorKind::AlreadyExists {
                (format!("'{}' is there already", path.display()), "choose another name")
            } else {
                (error.to_string(), "name a file in a folder that can be written")
            };
            Failure::Input { message, hint: hint.to_owned() }
        })?;
        outln!("{}", path.display())?;
        eprintln!("try: layerwise run {}", path.display());
        Ok(())
    }
}

/// The file's name, if a pipeline can have it.
fn pipeline_name(path: &Path) -> &str {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if name::problem(stem).is_none() { stem } else { "starter" }
}
