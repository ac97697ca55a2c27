//! `layerwise explain`.

use clap::Args;
use serde_json::json;

use crate::cli::Target;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::engine::{Explainer, Lock, Plan, Status, Wish};
use crate::pipeline::KeyedNode;

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
        for (node, status) in project.keyed.nodes.iter().zip(&plan.statuses) {
            if *status == Status::Unwanted || !self.names(node) {
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
                println!(
                    "{}",
                    json!({ "stage": node.node.to_string(), "key": node.key, "status": status,
                            "fields": node.fields, "nearest": nearest, "changes": changes })
                );
                continue;
            }
            print_fields(&project, node, &status);
            if let Some(difference) = difference {
                println!("  differs from {}, its nearest execution:", difference.nearest.short());
                difference.changes.iter().for_each(|change| println!("    {change}"));
            }
        }
        Ok(())
    }

    /// Whether the user asked for this node, and not only for one that needs it.
    fn names(&self, node: &KeyedNode) -> bool {
        let (stage, name) = (node.node.stage.as_str(), node.node.to_string());
        self.target.stages.is_empty() || self.target.stages.iter().any(|t| *t == stage || *t == name)
    }
}

/// Prints what is hashed into the key.
fn print_fields(project: &Project, node: &KeyedNode, status: &str) {
    println!("{}  {status}", node.node);
    println!("  key        {}", node.key);
    println!("  kind       {} version {}", node.fields.kind, node.fields.version);
    if let Some(numerics) = &node.fields.numerics {
        println!("  numerics   {numerics}");
    }
    println!("  parameters {}", node.fields.parameters);
    for source in &node.fields.sources {
        println!("  file       {} is {}", source.path, source.digest.short());
    }
    for (input, place) in node.fields.inputs.iter().zip(&node.inputs) {
        println!(
            "  input      {} is {} with key {}",
            input.slot,
            project.keyed.nodes[*place].node,
            input.key.short()
        );
    }
}
