//! `layerwise exec`: a node, or several one after another, as a job of a cluster runs them.
//!
//! What was submitted is described in a batch's folder; the key is computed again here, and if it is another, because the pipeline, the
//! program or the machine is, nothing is done.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::cli::failure::{FailedStage, Failure, Style, chain};
use crate::cli::project::{self, Project};
use crate::cli::{Target, Vary, machine, progress, run};
use crate::engine::{self, Capacity, Event, Observer, RerunError, Settings};
use crate::nn::kernels;
use crate::slurm::batch::Line;
use crate::slurm::{self, Attempt, End, Folder, Header, Teller};
use crate::stage::{StageError, StageKey};

/// Arguments of `exec`.
#[derive(Args)]
pub(super) struct Exec {
    /// The pipeline file
    pipeline: PathBuf,
    /// The stage, as in 'fit[seed=0]'
    #[arg(required_unless_present = "batch")]
    stage: Option<String>,
    /// Its key: nothing is done if it has another one
    #[arg(long, value_name = "HEX", required_unless_present = "batch", value_parser = parse_key)]
    key: Option<StageKey>,
    /// Take what is to be done from a batch's folder: the stages of the index that Slurm gives
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stage", "key"])]
    batch: Option<PathBuf>,
    /// Do it though it is done
    #[arg(long)]
    again: bool,
    /// How many cores it may use [default: those of the machine]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    vary: Vary,
    /// Where results and the store are [default: results/ beside the folder of the pipeline]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

/// What is to be done.
struct Order {
    target: Target,
    node: String,
    key: StageKey,
    again: bool,
    threads: usize,
    /// The seconds after which to stop and keep the state.
    seconds: Option<f64>,
    /// The program that submitted it, if it must be this one.
    program: Option<String>,
}

/// The signal that asked to stop, and that one did.
struct Stop {
    is_set: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Exec {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let stop = Stop::catch();
        let Some(batch) = self.batch.clone() else {
            let order = self.order();
            let mut project = Project::open(&order.target)?;
            project.store.share()?;
            return perform(&project, &order, None, &stop);
        };
        perform_share(&batch, &stop)
    }

    fn order(self) -> Order {
        let target = Target {
            pipeline: self.pipeline,
            stages: Vec::new(),
            vary: self.vary,
            results: self.results,
            json: false,
        };
        Order {
            target,
            node: self.stage.expect("clap requires it"),
            key: self.key.expect("clap requires it"),
            again: self.again,
            threads: self.threads.map_or_else(machine::cores, NonZeroUsize::get),
            seconds: None,
            program: None,
        }
    }
}

/// Does what a job of a batch is to do: one line, or several one after another, as far as its time goes.
fn perform_share(batch: &Path, stop: &Stop) -> Result<(), Failure> {
    let (folder, batch, job) = place(batch)?;
    let (header, lines) = (folder.header(&batch)?, folder.lines(&batch)?);
    let (share, who) = (header.share, format!("{} {}\n", run::host(), std::process::id()));
    let (begin, mut project, mut failures) = (Instant::now(), None, Vec::new());
    for index in share.lines_of(job..=job) {
        let Some(line) = lines.get(index as usize) else { break };
        let attempt = Attempt { batch: batch.clone(), index };
        if project.is_some() && (stop.is_set() || begin.elapsed() > share.time) {
            folder.finish(&attempt, &stop.left())?;
            continue;
        }
        folder.start(&attempt, &who)?;
        let result = order(&header, line).and_then(|order| {
            check_program(&order)?;
            if project.is_none() {
                project = Some(Project::open_as_worker(&order.target)?);
            }
            let teller = Teller::new(folder.file(&attempt, "told"));
            perform(project.as_ref().expect("it was just opened"), &order, Some(teller), stop)
        });
        folder.finish(&attempt, &end(&result, stop))?;
        failures.extend(result.err());
    }
    let Some(last) = failures.pop() else { return Ok(()) };
    for failure in failures {
        eprintln!("{}", failure.render(Style::of_stderr()));
    }
    Err(last)
}

/// Which batch in which folder, and which job of its array.
fn place(batch: &Path) -> Result<(Folder, String, u32), Failure> {
    const VARIABLE: &str = "SLURM_ARRAY_TASK_ID";
    let index = std::env::var_os(VARIABLE).and_then(|index| index.to_str()?.parse().ok());
    let index: u32 = index.ok_or_else(|| Failure::Input {
        message: format!("the variable {VARIABLE} does not say which stage of the batch to do"),
        hint: "leave '--batch' to jobs of Slurm, and name a stage with its '--key'".to_owned(),
    })?;
    // <store>/v1/slurm/batches/<name>
    let (store, name) = (batch.ancestors().nth(4), batch.file_name());
    let not_there = || Failure::Input {
        message: format!("'{}' is no batch in a store", batch.display()),
        hint: "name the folder that the submission made".to_owned(),
    };
    let (store, name) = store.zip(name).ok_or_else(not_there)?;
    Ok((Folder::new(store), name.to_string_lossy().into_owned(), index))
}

fn order(header: &Header, line: &Line) -> Result<Order, Failure> {
    let overrides = header.overrides.iter().map(|value| value.parse()).collect::<Result<_, _>>();
    let overrides = overrides.map_err(|message: String| Failure::Input {
        message,
        hint: "submit again: this batch was written by another version".to_owned(),
    })?;
    Ok(Order {
        target: Target {
            pipeline: header.pipeline.clone(),
            stages: Vec::new(),
            vary: Vary { scale: header.scale.clone(), overrides },
            results: header.results.clone(),
            json: false,
        },
        node: line.node.clone(),
        key: line.key,
        again: line.again,
        threads: header.threads,
        seconds: header.seconds,
        program: Some(header.program.clone()).filter(|program| !program.is_empty()),
    })
}

fn perform(project: &Project, order: &Order, teller: Option<Teller>, stop: &Stop) -> Result<(), Failure> {
    let place = find(project, order)?;
    let (local, nodes) = (machine::local_data()?, &project.keyed.nodes);
    let settings = Settings {
        root: &project.root,
        local: local.as_deref(),
        capacity: Capacity { threads: order.threads, ..machine::capacity() },
        keep_going: false,
        cancelled: &stop.is_set,
        provenance: run::provenance(),
    };
    let mut observers = vec![progress::observer(false)];
    observers.extend(teller.map(|teller| Box::new(Telling(teller)) as Box<dyn Observer>));
    let result = std::thread::scope(|scope| {
        let (end, is_ended) = channel();
        scope.spawn(move || stop.after(order.seconds, &is_ended));
        let result =
            engine::run_one(&project.keyed, place, &project.store, &settings, order.again, &mut observers);
        drop(end);
        result
    });
    drop(observers);
    match result {
        Ok(_) => Ok(()),
        Err(RerunError::Failed { error: error @ StageError::Failed { .. }, stage }) => {
            let node = &nodes[place].node;
            let blamed = project::blamed(&order.target.pipeline, node, &error);
            Err(Failure::Stages(vec![FailedStage {
                name: stage,
                kind: node.work.kind().name,
                blamed,
                error,
            }]))
        }
        Err(error) => Err(error.into()),
    }
}

/// Refuses if this is another program than the one that submitted.
fn check_program(order: &Order) -> Result<(), Failure> {
    let Some(submitted) = &order.program else { return Ok(()) };
    let program = std::env::current_exe().ok().and_then(|path| slurm::identity(&path).ok());
    if program.as_ref() == Some(submitted) {
        return Ok(());
    }
    Err(Failure::Input {
        message: format!("'{}' was submitted by another build of layerwise than this", order.node),
        hint: "run the pipeline again with this build: it submits what is missing".to_owned(),
    })
}

/// The place of the node, if its key is the one that was submitted.
fn find(project: &Project, order: &Order) -> Result<usize, Failure> {
    let nodes = &project.keyed.nodes;
    let Some(place) = nodes.iter().position(|node| node.node.to_string() == order.node) else {
        return Err(Failure::Input {
            message: format!("'{}' is no longer in '{}'", order.node, order.target.pipeline.display()),
            hint: "run the pipeline again: it submits what is wanted now".to_owned(),
        });
    };
    let found = nodes[place].key;
    if found == order.key {
        return Ok(place);
    }
    let other = other_numerics(order);
    let message = match &other {
        Some(numerics) => format!(
            "'{}' was submitted for results of {numerics}, and this machine computes as {}",
            order.node,
            kernels::numerics_class()
        ),
        None => format!(
            "'{}' has the key {} here, and was submitted with {}: its pipeline or its files changed since",
            order.node,
            found.digest().short(),
            order.key.digest().short()
        ),
    };
    let hint = match other {
        Some(_) => {
            "ask for nodes of one kind ('extra' in slurm.yaml), or set LAYERWISE_KERNELS=portable for all"
        }
        None => "run the pipeline again: it submits what is wanted now",
    };
    Err(Failure::Input { message, hint: hint.to_owned() })
}

/// The numerics class with which the node would have the key that was submitted.
fn other_numerics(order: &Order) -> Option<String> {
    let root = project::root(&order.target.pipeline);
    let digest = |path: &str| crate::store::Digests::new(Path::new("")).of(&root.join(path));
    let variation = order.target.vary.clone().into();
    kernels::numerics_classes().into_iter().skip(1).find(|numerics| {
        let keyed = project::load_as(&order.target.pipeline, &variation, numerics, &digest);
        keyed.is_ok_and(|keyed| keyed.nodes.iter().any(|node| node.key == order.key))
    })
}

/// What a job says it came to.
fn end(result: &Result<(), Failure>, stop: &Stop) -> End {
    match result {
        Ok(()) => End::Done,
        Err(Failure::Interrupted) => End::Stopped { signal: stop.name().to_owned() },
        Err(Failure::Stages(stages)) => {
            let error = stages.first().map(|stage| &stage.error);
            let hint = match error {
                Some(StageError::Failed { hint, .. }) => hint.clone(),
                _ => None,
            };
            End::Failed { error: error.map(chain).unwrap_or_default(), hint }
        }
        Err(Failure::Input { message, hint } | Failure::Wrong { message, hint }) => {
            End::Refused { error: message.clone(), hint: Some(hint.clone()) }
        }
        Err(_) => End::Refused {
            error: "its pipeline has mistakes now".to_owned(),
            hint: Some("look for them with 'layerwise check', and run the pipeline again".to_owned()),
        },
    }
}

impl Stop {
    /// The first signal asks for a stop that keeps all state: of Slurm before the time is over, or of whoever cancels.
    fn catch() -> Self {
        let stop = Self { is_set: Arc::default(), signal: Arc::default() };
        for signal in [SIGUSR1, SIGTERM, SIGINT] {
            let named = signal_hook::flag::register_usize(signal, Arc::clone(&stop.signal), signal as usize);
            let set = signal_hook::flag::register(signal, Arc::clone(&stop.is_set));
            debug_assert!(named.is_ok() && set.is_ok(), "these signals can be caught");
        }
        stop
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    /// What a stage came to that was not begun, because the time was over or the job was cancelled.
    fn left(&self) -> End {
        if self.is_set() && self.name() != "USR1" {
            End::Stopped { signal: self.name().to_owned() }
        } else {
            End::Left
        }
    }

    /// Asks to stop after some seconds, unless the work has ended.
    fn after(&self, seconds: Option<f64>, is_ended: &Receiver<()>) {
        let limit = seconds.map(Duration::from_secs_f64);
        if limit.is_some_and(|limit| is_ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)) {
            self.signal.store(SIGUSR1 as usize, Ordering::Relaxed);
            self.is_set.store(true, Ordering::Relaxed);
        }
    }

    fn name(&self) -> &'static str {
        match i32::try_from(self.signal.load(Ordering::Relaxed)) {
            Ok(SIGUSR1) => "USR1",
            Ok(SIGINT) => "INT",
            _ => "TERM",
        }
    }
}

/// Hands on what the stage tells.
struct Telling(Teller);

impl Observer for Telling {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Reported { report, .. } = event {
            self.0.tell(report);
        }
    }
}

fn parse_key(text: &str) -> Result<StageKey, String> {
    StageKey::parse(text).ok_or_else(|| format!("'{text}' is not a key: it has 64 hexadecimal digits"))
}
