//! `layerwise plan`.

use clap::Args;
use serde_json::json;

use crate::cli::cluster::{self, Where};
use crate::cli::failure::Failure;
use crate::cli::page::outln;
use crate::cli::project::Project;
use crate::cli::status::{Line, lines};
use crate::cli::{Target, page::duration};
use crate::engine::{self, Wish};

/// Arguments of `plan`.
#[derive(Args)]
pub(super) struct Plan {
    #[command(flatten)]
    target: Target,
    /// Plan to do these stages again, though they are done
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
    /// Also say what a run would ask of a cluster
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    executor: Where,
}

impl Plan {
    pub(super) fn execute(self) -> Result<(), Failure> {
        print(&self.target, self.force, self.executor)
    }
}

/// Prints what a run would do; what `run --dry-run` does too.
pub(super) fn print(target: &Target, force: Vec<String>, executor: Where) -> Result<(), Failure> {
    let project = Project::open(target)?;
    let wish = Wish { targets: target.stages.clone(), force };
    let plan = engine::Plan::new(&project.keyed, &project.store, &wish)?;
    let lines = lines(&project, &plan)?;
    let misses: Vec<&Line> = lines.iter().filter(|line| line.is_miss()).collect();
    let width = project.name_width();
    for line in &misses {
        line.print(target.json, width)?;
    }
    let known: Vec<f64> = misses.iter().filter_map(|line| line.seconds).collect();
    let (total, unknown) = (known.iter().sum::<f64>(), misses.len() - known.len());
    if target.json {
        outln!(
            "{}",
            json!({ "misses": plan.misses(), "wanted": plan.wanted(), "seconds": total, "unknown": unknown })
        )?;
    } else {
        print_sum(&plan, (known.len(), unknown), total)?;
    }
    match executor {
        Where::Local => Ok(()),
        Where::Slurm => cluster::print_outlook(&project, &plan, target.json),
    }
}

fn print_sum(plan: &engine::Plan, (known, unknown): (usize, usize), total: f64) -> Result<(), Failure> {
    let count = format!("{} of {} stages to run", plan.misses(), plan.wanted());
    match (known, unknown) {
        (0, _) => outln!("{count}"),
        (_, 0) => outln!("{count}: about {} of work, judging by earlier runs", duration(total)),
        (_, unknown) => outln!(
            "{count}: about {} of work, judging by earlier runs, and {unknown} of which nothing is known",
            duration(total)
        ),
    }
}
