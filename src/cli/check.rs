//! `layerwise check`: all mistakes of pipeline files, without a store and without running anything.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::cli::failure::Failure;
use crate::cli::page::outln;
use crate::cli::{Vary, project};
use crate::pipeline::error::SourceText;
use crate::pipeline::{Keyed, SpecError, SpecErrors};

/// Arguments of `check`.
#[derive(Args)]
pub(super) struct Check {
    /// Pipeline files
    #[arg(required = true)]
    pipelines: Vec<PathBuf>,
    #[command(flatten)]
    vary: Vary,
    /// Write a JSON object per mistake to stdout
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let mut all = SpecErrors { files: Vec::new(), errors: Vec::new() };
        let variation = self.vary.clone().into();
        for path in &self.pipelines {
            let root = project::root(path);
            // Only whether the declared files are there: their content is no mistake.
            let digest = |source: &str| fsx::metadata(&root.join(source)).map(|_| Digest::of(b""));
            match project::load(path, &variation, &digest) {
                Ok(keyed) if !self.json => self.approve(path, &keyed)?,
                Ok(_) => {}
                Err(Failure::Spec(errors)) => append(&mut all, errors),
                Err(Failure::Input { message, hint }) => {
                    let name = path.to_string_lossy().into_owned();
                    let errors = vec![SpecError::nowhere(message).hint(hint)];
                    append(
                        &mut all,
                        SpecErrors { files: vec![SourceText { name, text: String::new() }], errors },
                    );
                }
                Err(other) => return Err(other),
            }
        }
        if self.json {
            for error in &all.errors {
                outln!("{}", describe(error, &all.files[error.file]))?;
            }
        }
        if all.errors.is_empty() { Ok(()) } else { Err(all.into()) }
    }

    fn approve(&self, path: &std::path::Path, keyed: &Keyed) -> Result<(), Failure> {
        let stages: BTreeSet<_> = keyed.nodes.iter().map(|node| node.node.stage.as_str()).collect();
        let name = if self.pipelines.len() > 1 { format!("{}: ", path.display()) } else { String::new() };
        let plural =
            |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        outln!("{name}ok: {}, {}", plural(stages.len(), "stage"), plural(keyed.nodes.len(), "node"))
    }
}

/// Adds the mistakes of another pipeline, whose files are numbered from 0.
fn append(all: &mut SpecErrors, mut errors: SpecErrors) {
    errors.errors.iter_mut().for_each(|error| error.file += all.files.len());
    all.files.append(&mut errors.files);
    all.errors.append(&mut errors.errors);
}

fn describe(error: &SpecError, file: &SourceText) -> serde_json::Value {
    let place = error.span.as_ref().map(|span| file.line_column(span.start));
    json!({
        "file": file.name,
        "line": place.map(|(line, _)| line),
        "column": place.map(|(_, column)| column),
        "message": error.message,
        "hint": error.hint,
    })
}
