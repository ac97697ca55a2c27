//! `layerwise status`.

use clap::Args;
use serde_json::json;

use crate::cli::Target;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::engine::{self, Plan, Status as NodeStatus};

/// Arguments of `status`.
#[derive(Args)]
pub(super) struct Status {
    #[command(flatten)]
    target: Target,
}

impl Status {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = Project::open(&self.target)?;
        let plan = Plan::new(&project.keyed, &project.store, &self.target.stages)?;
        print(&project, &plan, self.target.json, |_| true);
        Ok(())
    }
}

/// Prints a line per node that passes the filter.
pub(super) fn print(project: &Project, plan: &Plan, json: bool, filter: impl Fn(&NodeStatus) -> bool) {
    let nodes = || project.keyed.nodes.iter().zip(&plan.statuses);
    let width = nodes().map(|(node, _)| node.node.to_string().len()).max().unwrap_or(0);
    for (node, status) in nodes().filter(|(_, status)| filter(status)) {
        let (word, reason) = match status {
            NodeStatus::Unwanted => continue,
            NodeStatus::Hit(_) => ("hit", String::new()),
            NodeStatus::Miss(reason) => ("miss", reason.to_string()),
        };
        let (name, kind, key) = (node.node.to_string(), node.node.work.kind().name, node.key);
        if json {
            println!(
                "{}",
                json!({ "stage": name, "kind": kind, "key": key, "status": word, "reason": reason })
            );
        } else {
            println!("{}", format!("{word:<4}  {name:<width$}  {kind:<10}  {reason}").trim_end());
        }
    }
}

/// `3 of 9 stages to run`.
pub(super) fn count(plan: &engine::Plan) -> String {
    format!("{} of {} stages to run", plan.misses(), plan.wanted())
}
