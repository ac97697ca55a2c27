//! `layerwise run`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;

use crate::cli::cluster::{self, Question, Where};
use crate::cli::failure::{FailedStage, Failure};
use crate::cli::live::Live;
use crate::cli::project::Project;
use crate::cli::remote::{self, Opened, Shared};
use crate::cli::tensorboard::TensorBoard;
use crate::cli::{Target, machine, plan, progress, project, signals, summary};
use crate::engine::diff::Difference;
use crate::engine::{self, Capacity, Executor, Lock, Observer, Outcome, Plan, Settings, Wish, publish};
use crate::slurm::follow::Wish as Fate;
use crate::store::Provenance;

/// Arguments of `run`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Run {
    #[command(flatten)]
    target: Target,
    /// How many stages run side by side; numeric ones share the cores [default: two more than cores]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// How many cores they share [default: those of the machine]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// How much memory the stages that ask for some share, as in '16 GiB' [default: that of the machine]
    #[arg(long, value_name = "SIZE", value_parser = machine::parse_size)]
    memory: Option<u64>,
    /// How many GPUs they share [default: those of the machine]
    #[arg(long, value_name = "N")]
    gpus: Option<u32>,
    /// After a failure, still start the stages that do not need the failed one
    #[arg(long, short)]
    keep_going: bool,
    /// Do these stages again, though they are done
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
    /// Where stages run that take more than moments
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    executor: Where,
    /// With '--executor slurm': submit the run itself as a job, and return
    #[arg(long)]
    detach: bool,
    /// Only say what would run
    #[arg(long = "dry-run")]
    is_dry: bool,
    /// Fail, and publish nothing, unless the results equal the lock
    #[arg(long)]
    locked: bool,
    /// Write the learning curves of all trainings to event files in this folder, for TensorBoard
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    #[command(flatten)]
    shared: Shared,
    /// Bring what was done here to the remote, when all is done
    #[arg(long = "push")]
    is_pushed: bool,
    /// Sign what is pushed with this minisign key
    #[arg(long, value_name = "FILE", requires = "is_pushed")]
    key: Option<PathBuf>,
}

impl Run {
    pub(super) fn execute(self) -> Result<(), Failure> {
        if self.is_dry {
            return plan::print(&self.target, self.force, self.executor);
        }
        let mut project = Project::open(&self.target)?;
        if self.detach {
            return self.detach(&mut project);
        }
        let question = Question::default();
        let ask = || question.ask();
        let (slurm, project) = match self.executor {
            Where::Local => (None, &project),
            Where::Slurm => {
                let (slurm, project) = cluster::executor(&mut project, &self.target, &ask)?;
                (Some(slurm), project)
            }
        };
        let wish = Wish { targets: self.target.stages.clone(), force: self.force.clone() };
        let (local, cancelled) = (machine::local_data()?, signals::catch());
        let plan = Plan::new(&project.keyed, &project.store, &wish)?;
        // Where all is done, nobody needs to be asked.
        let is_asked = plan.misses() > 0 || self.is_pushed;
        let shared = if is_asked { self.shared.open(&project.store, self.is_pushed)? } else { None };
        if self.is_pushed && shared.is_none() {
            return Err(remote::none_named());
        }
        let plan = match &shared {
            Some(shared) => shared.plan(project, &wish, &plan, &cancelled, self.target.json)?,
            None => plan,
        };
        let settings = Settings {
            root: &project.root,
            local: local.as_deref(),
            capacity: self.capacity(),
            keep_going: self.keep_going,
            cancelled: &cancelled,
            provenance: if plan.misses() == 0 { Provenance::default() } else { provenance() },
        };
        let mut observers = self.observers(project, &plan)?;
        let executor = slurm.as_ref().map(|slurm| slurm as &dyn Executor);
        let (keyed, store) = (&project.keyed, &project.store);
        let outcomes = engine::run_on(executor, keyed, &plan, store, &settings, &mut observers)?;
        drop(observers);
        if question.answer() == Some(Fate::Leave) {
            eprintln!(
                "note: jobs that were submitted go on; the same command follows them again, 'layerwise cancel' ends them"
            );
        }
        let outcomes = check(project, outcomes, &self.target.pipeline)?;
        if self.locked {
            check_lock(project, &outcomes, &self.target.pipeline)?;
        }
        let published = publish::publish(&project.keyed, &outcomes, &project.store, &project.results)?;
        summary::print(project, &outcomes, &published, self.target.json)?;
        if let Some(shared) = shared.filter(|_| self.is_pushed) {
            self.push(project, &shared, &cancelled)?;
        }
        // The system takes the memory of a big graph back faster than we can.
        std::mem::forget((slurm, plan, outcomes));
        Ok(())
    }

    /// Submits this very command, without the wish to return.
    fn detach(&self, project: &mut Project) -> Result<(), Failure> {
        if self.executor != Where::Slurm {
            return Err(Failure::Input {
                message: "'--detach' is for runs on a cluster".to_owned(),
                hint: "add '--executor slurm'".to_owned(),
            });
        }
        let arguments = std::env::args().skip(1).filter(|argument| argument != "--detach");
        cluster::detach(project, &self.target, &arguments.collect::<Vec<_>>())
    }

    fn observers(&self, project: &Project, plan: &Plan) -> Result<Vec<Box<dyn Observer>>, Failure> {
        let mut observers = vec![progress::observer(self.target.json)];
        // A run that has nothing to do writes nothing.
        if plan.misses() > 0
            && let Some(live) = Live::begin(project, plan, host())
        {
            observers.push(Box::new(live));
        }
        if let Some(folder) = &self.tensorboard {
            let pipeline = &project.keyed.pipeline;
            observers.push(Box::new(TensorBoard::new(folder, pipeline, &project.store, host())?));
        }
        Ok(observers)
    }

    /// Brings all that is done of the pipeline.
    fn push(&self, project: &Project, shared: &Opened, cancelled: &AtomicBool) -> Result<(), Failure> {
        let keys: Vec<_> = project.keyed.nodes.iter().map(|node| node.key).collect();
        let pushed = remote::push(project, shared, &keys, self.key.as_ref(), false, cancelled)?;
        remote::tell_pushed(shared, &pushed, self.target.json)
    }

    fn capacity(&self) -> Capacity {
        let all = machine::capacity();
        Capacity {
            jobs: self.jobs.map_or(all.jobs, NonZeroUsize::get),
            threads: self.threads.map_or(all.threads, NonZeroUsize::get),
            memory: self.memory.unwrap_or(all.memory),
            gpus: self.gpus.unwrap_or(all.gpus),
        }
    }
}

/// All ended well, or what did not.
pub(super) fn check(
    project: &Project,
    outcomes: Vec<Option<Outcome>>,
    pipeline: &Path,
) -> Result<Vec<Option<Outcome>>, Failure> {
    if outcomes.iter().flatten().all(|outcome| outcome.summary().is_some()) {
        return Ok(outcomes);
    }
    let failed = project.keyed.nodes.iter().zip(outcomes).filter_map(|(node, outcome)| match outcome {
        Some(Outcome::Failed(error)) => Some(FailedStage {
            name: node.node.to_string(),
            kind: node.node.work.kind().name,
            blamed: project::blamed(pipeline, &node.node, &error),
            error,
        }),
        _ => None,
    });
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() {
        return Err(Failure::Interrupted);
    }
    Err(Failure::Stages(failed))
}

/// What was run gives what the lock says.
fn check_lock(project: &Project, outcomes: &[Option<Outcome>], pipeline: &Path) -> Result<(), Failure> {
    let Some(lock) = Lock::read(&project.results) else {
        return Err(Failure::Input {
            message: format!("there is no lock to compare with in '{}'", project.results.display()),
            hint: "run once without '--locked', and keep the lock.json that this writes".to_owned(),
        });
    };
    let (new, _) = publish::intended(&project.keyed, outcomes, Some(&lock));
    let difference = Difference::new(&lock, &new);
    if difference.is_empty() {
        return Ok(());
    }
    Err(Failure::OtherThanLock { names: difference.names(), pipeline: pipeline.to_owned() })
}

/// What the records of a run say of its origin.
pub(super) fn provenance() -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: machine::revision().unwrap_or_default(),
        host: host(),
        ..Provenance::default()
    }
}

pub(super) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
