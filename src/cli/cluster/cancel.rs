//! `layerwise cancel`.

use clap::Args;

use crate::cli::cluster::{folder, job_name};
use crate::cli::failure::Failure;
use crate::cli::page::{count, outln};
use crate::cli::project::Project;
use crate::cli::{Target, cluster};
use crate::slurm::client;

/// Arguments of `cancel`.
#[derive(Args)]
pub(in crate::cli) struct Cancel {
    #[command(flatten)]
    target: Target,
}

impl Cancel {
    pub(in crate::cli) fn execute(self) -> Result<(), Failure> {
        let project = Project::open(&self.target)?;
        let name = job_name(&project.keyed.pipeline, &project.store_folder())?;
        let alive = cluster::jobs::alive(&client::queue(&name)?);
        // By name: the job of a detached run is among them.
        client::cancel_all(&name)?;
        let folder = folder(&project)?;
        let keys = project.keyed.nodes.iter().map(|node| node.key);
        for (key, attempt) in keys.filter_map(|key| Some((key, folder.under_way(key)?))) {
            folder.close(key, &attempt)?;
        }
        if self.target.json {
            return outln!("{}", serde_json::json!({ "event": "cancelled", "jobs": alive }));
        }
        match alive {
            0 => outln!("no jobs of '{}' are in the queue", project.keyed.pipeline),
            _ => outln!("cancelled {}; finished stages and kept states stay", count(alive, "job")),
        }
    }
}
