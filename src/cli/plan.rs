//! `layerwise plan`.

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::{Target, status};
use crate::engine::{self, Status};

/// Arguments of `plan`.
#[derive(Args)]
pub(super) struct Plan {
    #[command(flatten)]
    target: Target,
}

impl Plan {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = Project::open(&self.target)?;
        let plan = engine::Plan::new(&project.keyed, &project.store, &self.target.stages)?;
        status::print(&project, &plan, self.target.json, |status| matches!(status, Status::Miss(_)));
        if !self.target.json {
            println!("{}", status::count(&plan));
        }
        Ok(())
    }
}
