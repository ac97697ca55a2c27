//! The end of a run: the tables, the verdicts, and where the files are.

use std::path::Path;

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::engine::Outcome;
use crate::engine::publish::Published;

/// Prints what a run came to.
pub(super) fn print(
    project: &Project,
    _outcomes: &[Option<Outcome>],
    published: &Published,
    json: bool,
) -> Result<(), Failure> {
    if json {
        println!(
            "{}",
            json!({ "event": "finished", "results": project.results, "published": published.files })
        );
        return Ok(());
    }
    Ok(())
}

fn _x(_: &Path) {}
