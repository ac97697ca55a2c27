//! `layerwise run`.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::{Target, progress, summary};
use crate::engine::{self, Outcome, Plan, Settings, publish};
use crate::store::Provenance;

/// Arguments of `run`.
#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    target: Target,
    /// How many stages run side by side [default: the number of cores]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// How many threads they share [default: the number of cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl Run {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = Project::open(&self.target)?;
        let plan = Plan::new(&project.keyed, &project.store, &self.target.stages)?;
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let cancelled = catch_signals();
        let settings = Settings {
            root: &project.root,
            jobs: self.jobs.map_or(cores, NonZeroUsize::get),
            threads: self.threads.map_or(cores, NonZeroUsize::get),
            cancelled: &cancelled,
            provenance: if plan.misses() == 0 { Provenance::default() } else { provenance() },
        };
        let mut observer = progress::observer(self.target.json);
        let outcomes = engine::run(&project.keyed, plan, &project.store, &settings, &mut *observer);
        drop(observer);
        let outcomes = check(&project, outcomes)?;
        let published = publish::publish(&project.keyed, &outcomes, &project.store, &project.results)?;
        summary::print(&project, &outcomes, &published, self.target.json)
    }
}

/// The first signal asks for a stop that keeps all state; the second ends the program at once.
fn catch_signals() -> Arc<AtomicBool> {
    let cancelled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registered first, so run first: it does nothing until the flag is set by the one below.
        let second = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&cancelled));
        let first = signal_hook::flag::register(signal, Arc::clone(&cancelled));
        debug_assert!(second.is_ok() && first.is_ok(), "these signals can be caught");
    }
    cancelled
}

/// All ended well, or what did not.
fn check(project: &Project, outcomes: Vec<Option<Outcome>>) -> Result<Vec<Option<Outcome>>, Failure> {
    if outcomes.iter().flatten().all(|outcome| outcome.record().is_some()) {
        return Ok(outcomes);
    }
    let failed = project.keyed.nodes.iter().zip(outcomes).filter_map(|(node, outcome)| match outcome {
        Some(Outcome::Failed(error)) => Some((node.node.to_string(), node.node.work.kind().name, error)),
        _ => None,
    });
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() {
        return Err(Failure::Interrupted);
    }
    Err(Failure::Stages(failed))
}

fn provenance() -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: revision().unwrap_or_default(),
        host: gethostname::gethostname().to_string_lossy().into_owned(),
        ..Provenance::default()
    }
}

/// The revision of the repository that the user is in, if git is there to tell.
fn revision() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let suffix =
        if git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() { "" } else { "-dirty" };
    Some(git(&["rev-parse", "HEAD"])? + suffix)
}
