//! `layerwise explain`.

use clap::Args;
use serde_json::json;

use crate::cli::Target;
use crate::cli::failure::Failure;
use crate::cli::page::outln;
use crate::cli::project::Project;
use crate::engine::{Explainer, Lock, Plan, Status, Wish};
use crate::pipeline::{KeyedNode, target};

/// Arguments of `explain`.
#[derive(Args)]
pub(super) struct Explain {
    #[command(flatten)]
    target: Target,
}

impl Explain {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = Project::open(&self.target)?;
        let wish = Wish { targets: self.target.stages.clone(), ..Wish::default() };
        let plan = Plan::new(&project.keyed, &project.store, &wish)?;
        let lock = Lock::read(&project.results);
        let explainer = Explainer::new(&project.keyed.pipeline, &project.store, lock.as_ref());
        // Those that the user asked for, without what they need.
        let named = target::select(&project.keyed, &self.target.stages)?;
        for ((node, status), is_named) in project.keyed.nodes.iter().zip(&plan.statuses).zip(named) {
            if !is_named {
                continue;
            }
            let difference = match status {
                Status::Miss(_) => explainer.difference(node)?,
                _ => None,
            };
            let status = match status {
                Status::Miss(reason) => format!("miss: {reason}"),
                _ => "hit".to_owned(),
            };
            if self.target.json {
                let changes = difference
                    .as_ref()
                    .map(|difference| difference.changes.iter().map(ToString::to_string).collect::<Vec<_>>());
                let nearest = difference.as_ref().map(|difference| difference.nearest);
                outln!(
                    "{}",
                    json!({ "stage": node.node.to_string(), "key": node.key, "status": status,
                            "fields": node.fields, "nearest": nearest, "changes": changes })
                )?;
                continue;
            }
            print_fields(&project, node, &status)?;
            if let Some(difference) = difference {
                outln!("  differs from {}, its nearest execution:", difference.nearest.short())?;
                for change in &difference.changes {
                    outln!("    {change}")?;
                }
            }
        }
        Ok(())
    }
}

/// Prints what is hashed into the key.
fn print_fields(project: &Project, node: &KeyedNode, status: &str) -> Result<(), Failure> {
    outln!("{}  {status}", node.node)?;
    outln!("  key        {}", node.key)?;
    outln!("  kind       {} version {}", node.fields.kind, node.fields.version)?;
    if let Some(numerics) = &node.fields.numerics {
        outln!("  numerics   {numerics}")?;
    }
    outln!("  parameters {}", node.fields.parameters)?;
    for source in &node.fields.sources {
        outln!("  file       {} is {}", source.path, source.digest.short())?;
    }
    for (input, place) in node.fields.inputs.iter().zip(&node.inputs) {
        outln!(
            "  input      {} is {} with key {}",
            input.slot,
            project.keyed.nodes[*place].node,
            input.key.short()
        )?;
    }
    Ok(())
}
