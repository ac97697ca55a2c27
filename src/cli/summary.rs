//! The end of a run: the tables, the verdicts, and where the files are.

use std::path::Path;

use serde_json::{Value, json};

use crate::base::fsx;
use crate::cli::claims;
use crate::cli::failure::{Failure, Style};
use crate::cli::page::outln;
use crate::cli::project::Project;
use crate::engine::Outcome;
use crate::engine::publish::Published;
use crate::figure::terminal;
use crate::kinds::{self, claim, figure};
use crate::store::Summary;
use crate::table::claim::Judged;
use crate::table::grid::Grid;

/// Prints what a run came to.
pub(super) fn print(
    project: &Project,
    outcomes: &[Option<Outcome>],
    published: &Published,
    json: bool,
) -> Result<(), Failure> {
    for path in &published.set_aside {
        eprintln!("note: an edited result was replaced; the edited file is now {}", path.display());
    }
    if published.is_unsigned {
        eprintln!(
            "note: the lock has changed, so its signature was removed: look at the results, then 'layerwise sign'"
        );
    }
    if json {
        outln!(
            "{}",
            json!({ "event": "finished", "results": project.results, "published": published.files })
        )?;
        return Ok(());
    }
    let style = Style::of_stdout();
    for (node, outcome) in project.keyed.nodes.iter().zip(outcomes) {
        let Some(summary) = outcome.as_ref().and_then(Outcome::summary) else { continue };
        if node.node.work.kind().output == kinds::TABLE {
            print_table(project, &node.node.to_string(), summary, style)?;
        } else if node.node.work.kind().output == kinds::COMPARISON {
            print_comparison(project, summary)?;
        } else if node.node.work.kind().output == kinds::CLAIM {
            print_claim(project, summary, style)?;
        }
    }
    if !published.files.is_empty() {
        outln!("{} files in {}", published.files.len() + 1, shown(&project.results))?;
    }
    Ok(())
}

/// Prints an aggregated table; one that only gathers rows is for other programs.
fn print_table(project: &Project, name: &str, summary: &Summary, style: Style) -> Result<(), Failure> {
    let files = project.store.files(&summary.outputs);
    if let Some(grid) = files.path("table.csv").ok().and_then(|path| Grid::read(path).ok()) {
        let options =
            figure::HeatmapOptions { title: format!("{name}: {}", grid.metric), ..Default::default() };
        outln!("{}", terminal::heatmap(&figure::heatmap(&grid, &options), style.colour))?;
    }
    Ok(())
}

/// Prints whether a claim holds, in a line.
fn print_claim(project: &Project, summary: &Summary, style: Style) -> Result<(), Failure> {
    let files = project.store.files(&summary.outputs);
    let Ok(path) = files.path(claim::FILE) else { return Ok(()) };
    let Ok(judged) = serde_json::from_slice::<Judged>(&fsx::read(path)?) else { return Ok(()) };
    let number = judged.number.map(|number| format!(" {number}")).unwrap_or_default();
    outln!("claim{number} {}: {}", claims::paint(judged.judgement.verdict, style), judged.says)
}

/// Prints what `comparison.json` says, in two lines.
fn print_comparison(project: &Project, summary: &Summary) -> Result<(), Failure> {
    let files = project.store.files(&summary.outputs);
    let Ok(path) = files.path("comparison.json") else { return Ok(()) };
    let verdict: Value = serde_json::from_slice(&fsx::read(path)?).unwrap_or_default();
    let number = |value: &Value| value.as_f64().map_or("undefined".to_owned(), |n| format!("{n:.3}"));
    outln!(
        "{} beside the paper: {} cells, mean absolute difference {}, rank correlation {}",
        verdict["figure"].as_str().unwrap_or_default(),
        verdict["compared"],
        number(&verdict["mean_absolute_difference"]),
        number(&verdict["rank_correlation"]),
    )?;
    if let Some(classes) = verdict["classes"].as_object() {
        outln!(
            "  critical or robust (error rises by more than {}): {} of {} cells agree; critical when re-initialized to 0: {} (paper: {})",
            classes["threshold"],
            classes["cells_agree"],
            classes["cells_compared"],
            critical(&classes["resets"], "critical_ours"),
            critical(&classes["resets"], "critical_published"),
        )?;
    }
    outln!("")
}

/// The rows that one side finds critical to a reset to epoch 0.
fn critical(resets: &Value, side: &str) -> String {
    let resets = resets.as_array().into_iter().flatten();
    let rows = resets.filter(|reset| reset["column"] == "0" && reset[side] == true);
    let rows: Vec<&str> = rows.filter_map(|reset| reset["row"].as_str()).collect();
    if rows.is_empty() { "none".to_owned() } else { rows.join(", ") }
}

fn shown(path: &Path) -> String {
    format!("{}/", path.display())
}
