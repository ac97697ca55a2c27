//! Runs on a cluster: `--executor slurm`, and what is asked about its jobs.

mod cancel;
mod jobs;
mod outlook;

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::ValueEnum;

pub(super) use cancel::Cancel;
pub(super) use jobs::Jobs;
pub(super) use outlook::print as print_outlook;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::base::nonce::nonce;
use crate::cli::failure::Failure;
use crate::cli::page::outln;
use crate::cli::project::Project;
use crate::cli::{Target, machine};
use crate::nn::kernels;
use crate::slurm::follow::Wish;
use crate::slurm::{self, Folder, Header, Profile, Share, Slurm, SlurmError, Submitter, client};

/// Where stages run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Where {
    /// On this machine
    #[default]
    Local,
    /// As jobs of a Slurm cluster whose nodes see the same files
    Slurm,
}

/// The site's profile, if the user has written one.
pub(super) fn profile() -> Result<Profile, Failure> {
    let configured =
        std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let Some(folder) = configured.or_else(home) else { return Ok(Profile::default()) };
    let path = folder.join("layerwise").join("slurm.yaml");
    match fsx::read_to_string(&path) {
        Ok(text) => Ok(Profile::parse(&path.to_string_lossy(), &text)?),
        Err(error) if error.is_not_found() => Ok(Profile::default()),
        Err(error) => Err(error.into()),
    }
}

/// Where the batches of a project are.
pub(super) fn folder(project: &Project) -> Result<Folder, Failure> {
    Ok(Folder::new(&fsx::absolute(&project.store_folder())?))
}

/// What Slurm calls the jobs of a pipeline: those of another store have another name.
pub(super) fn job_name(pipeline: &str, store: &Path) -> Result<String, Failure> {
    let store = fsx::canonicalize(store)?;
    let digest = Digest::of(store.as_os_str().as_encoded_bytes()).to_string();
    Ok(format!("layerwise-{pipeline}-{}", &digest[..6]))
}

/// What all jobs of a run share.
fn submitter(project: &Project, profile: Profile) -> Result<Submitter, Failure> {
    let from_system = |what: &str, error: &std::io::Error| Failure::Input {
        message: format!("the system does not tell {what}: {error}"),
        hint: "start the run from a folder that is there".to_owned(),
    };
    let program = std::env::current_exe().map_err(|error| from_system("which program this is", &error))?;
    let current = std::env::current_dir().map_err(|error| from_system("the current folder", &error))?;
    // What affects keys, or what stages find, must be there as it is here.
    let mut environment = vec![("LAYERWISE_KERNELS".to_owned(), kernels::Path::detect().name().to_owned())];
    if let Some(folder) = machine::local_data()? {
        environment
            .push(("LAYERWISE_DATA".to_owned(), fsx::absolute(&folder)?.to_string_lossy().into_owned()));
    }
    let name = job_name(&project.keyed.pipeline, &project.store_folder())?;
    Ok(Submitter { profile, program, current, environment, name })
}

/// What the jobs must know of the command line.
fn header(target: &Target, submitter: &Submitter) -> Result<Header, Failure> {
    let value = |given: &crate::pipeline::Override| format!("{}={}", given.name, given.value);
    // Where the nodes have a program of their own, it cannot be compared; its keys are.
    let program = match &submitter.profile.program {
        Some(_) => String::new(),
        None => slurm::identity(&submitter.program)?,
    };
    Ok(Header {
        pipeline: target.pipeline.clone(),
        scale: target.vary.scale.clone(),
        overrides: target.vary.overrides.iter().map(value).collect(),
        results: target.results.clone(),
        program,
        threads: 1,
        seconds: None,
        share: Share::default(),
    })
}

/// The executor of a run. From here on the store is one that other hosts use.
pub(super) fn executor<'a>(
    project: &'a mut Project,
    target: &Target,
    ask: &'a (dyn Fn() -> Wish + Sync),
) -> Result<(Slurm<'a>, &'a Project), Failure> {
    project.store.share()?;
    let project = &*project;
    let submitter = submitter(project, profile()?)?;
    let slurm = Slurm {
        header: header(target, &submitter)?,
        folder: folder(project)?,
        pipeline: &project.keyed.pipeline,
        facts: client::facts()?,
        usual: usual(project),
        submitter,
        ask,
    };
    Ok((slurm, project))
}

/// Submits the run itself as a job, which submits the others: it outlives this shell.
pub(super) fn detach(project: &mut Project, target: &Target, arguments: &[String]) -> Result<(), Failure> {
    project.store.share()?;
    let submitter = submitter(project, profile()?)?;
    let (folder, name) = (folder(project)?, format!("{}-{}", project.keyed.pipeline, nonce()));
    let batch = folder.batch(&name);
    fsx::place(&batch.join("job.sh"), submitter.script(arguments).as_bytes())?;
    let log = batch.join("run.log");
    let mut options = submitter.options(&name, &log);
    options.extend(submitter.profile.coordinator.options());
    options.push(batch.join("job.sh").to_string_lossy().into_owned());
    let job = client::submit(&options)?;
    folder.submitted(&name, job)?;
    if target.json {
        return outln!("{}", serde_json::json!({ "event": "detached", "job": job, "log": log }));
    }
    outln!("the run is job {job}, which submits the others; its log is {}", log.display())?;
    let pipeline = target.pipeline.display();
    outln!(
        "follow it with 'layerwise watch {pipeline}' or 'layerwise status {pipeline}', end it with 'layerwise cancel {pipeline}'"
    )
}

/// The median duration of each stage of this pipeline, over all executions in the store.
fn usual(project: &Project) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for summary in project.store.summaries() {
        let Some((pipeline, node)) = summary.stage.split_once('/') else { continue };
        if pipeline == project.keyed.pipeline {
            let stage = node.split('[').next().unwrap_or_default();
            all.entry(stage.to_owned()).or_default().push(summary.seconds);
        }
    }
    let median = |(stage, mut seconds): (String, Vec<f64>)| {
        seconds.sort_by(f64::total_cmp);
        (stage, seconds[seconds.len() / 2])
    };
    all.into_iter().map(median).collect()
}

/// Asks, once, what is to become of the jobs; where nobody can answer, they are left.
#[derive(Default)]
pub(super) struct Question(Mutex<Option<Wish>>);

impl Question {
    pub(super) fn ask(&self) -> Wish {
        let mut answer = self.0.lock().expect("no holder panics");
        *answer.get_or_insert_with(|| {
            if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
                Self::listen()
            } else {
                Wish::Leave
            }
        })
    }

    fn listen() -> Wish {
        eprint!("\njobs are in the queue: (l)eave them, or (c)ancel them? [l] ");
        let mut line = String::new();
        // No answer is none: what was submitted is not thrown away.
        let _ = std::io::stdin().lock().read_line(&mut line);
        if line.trim_start().to_lowercase().starts_with('c') { Wish::Cancel } else { Wish::Leave }
    }

    /// What was answered, if anybody was asked.
    pub(super) fn answer(&self) -> Option<Wish> {
        *self.0.lock().expect("no holder panics")
    }
}

impl From<SlurmError> for Failure {
    fn from(error: SlurmError) -> Self {
        Self::Input { message: error.to_string(), hint: error.hint().to_owned() }
    }
}
