//! Slurm's own programs: called with a clean environment and a time limit, and what they refuse told in their own words.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::base::cancel::Cancel;
use crate::base::child;
use crate::slurm::text::{self, Row};

/// How long one of its programs may take to answer: a controller that is busy takes seconds, one that is away is given up by them.
const PATIENCE: Duration = Duration::from_mins(1);
/// What a site's own settings for these programs begin with. A run inside a job must not hand on that job's.
const OF_SLURM: [&str; 7] = ["SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SRUN_", "SALLOC_"];
/// Which of them says where the cluster is.
const WHERE: &str = "SLURM_CONF";

/// Why one of Slurm's programs did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// It could not be started.
    #[error("cannot start '{program}', one of Slurm's programs: {source}")]
    NotThere {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It gave no answer: nothing is known of what it was asked.
    #[error("'{program}' gave no answer: {words}")]
    Away {
        /// The program.
        program: &'static str,
        /// What it said, or how long it took.
        words: String,
    },
    /// It said no.
    #[error("'{program}' refused: {words}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it said.
        words: String,
    },
}

impl SlurmError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotThere { .. } => {
                "run this where Slurm's programs are, on a login node, or without '--executor slurm'"
            }
            Self::Away { .. } => {
                "wait until the cluster's controller is back: 'scontrol ping' says whether it is"
            }
            Self::Refused { words, .. } => hint(words),
        }
    }
}

/// What to do about a refusal.
fn hint(words: &str) -> &'static str {
    const HINTS: [(&str, &str); 10] = [
        ("submit limit", "lower 'submitted' in the profile slurm.yaml"),
        ("partition", "name one that 'sinfo' lists, in the stage's 'resources' or in the profile slurm.yaml"),
        (
            "account",
            "name one that 'sacctmgr show associations user=$USER' lists, in 'resources' or in slurm.yaml",
        ),
        (
            "qos",
            "lower 'submitted' in the profile slurm.yaml, or ask for less: 'sacctmgr show qos' says what is allowed",
        ),
        ("job array", "lower 'submitted' in the profile slurm.yaml: the cluster takes no arrays so large"),
        (
            "time limit",
            "lower 'time', in the stage's 'resources' or in slurm.yaml: 'sinfo -o \"%P %l\"' says what is allowed",
        ),
        (
            "memory",
            "lower 'memory', in the stage's 'resources' or in slurm.yaml: 'sinfo -o \"%P %m\"' says what nodes have",
        ),
        ("gres", "ask for GPUs that there are: 'sinfo -o \"%P %G\"' lists them"),
        (
            "cpu",
            "lower 'cores', in the stage's 'resources' or in slurm.yaml: 'sinfo -o \"%P %c\"' says what nodes have",
        ),
        (
            "node configuration",
            "ask for what one node has, in 'resources' or in slurm.yaml: 'sinfo -N -l' lists them",
        ),
    ];
    let words = words.to_lowercase();
    let found = HINTS.iter().find(|(word, _)| words.contains(word));
    found.map_or("look the words up with 'man sbatch', or ask the cluster's people", |(_, hint)| hint)
}

/// Whether what a program said is that the controller did not answer it.
fn is_away(words: &str) -> bool {
    const WORDS: [&str; 9] = [
        "Unable to contact slurm controller",
        "Socket timed out",
        "Connection refused",
        "Connection timed out",
        "Zero Bytes were transmitted",
        "Transport endpoint",
        "standby mode",
        "temporarily unable",
        "try again later",
    ];
    WORDS.iter().any(|away| words.contains(away))
}

/// What the cluster is set up to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The most jobs of one array.
    pub array: u32,
    /// Whether ended jobs are remembered.
    pub has_history: bool,
}

/// What the cluster is set up to do.
pub fn facts() -> Result<Facts, SlurmError> {
    let config = call("scontrol", &["show", "config"])?;
    let array = text::setting(&config, "MaxArraySize").and_then(|size| size.parse().ok());
    let history =
        text::setting(&config, "AccountingStorageType").is_some_and(|kind| !kind.ends_with("/none"));
    // The highest index is one less than the setting; 0 there means no arrays.
    Ok(Facts { array: array.unwrap_or(1001_u32).saturating_sub(1).max(1), has_history: history })
}

/// Submits a script, the last of these arguments; returns the job's number.
pub fn submit(arguments: &[String]) -> Result<u64, SlurmError> {
    let options: Vec<&str> = ["--parsable"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let printed = call("sbatch", &options)?;
    let refused = || SlurmError::Refused { program: "sbatch", words: format!("it printed '{printed}'") };
    text::submitted(&printed).ok_or_else(refused)
}

/// What Slurm says of all jobs of this name, those included that ended a moment ago.
pub fn queue(name: &str) -> Result<Vec<Row>, SlurmError> {
    let name = format!("--name={name}");
    call("squeue", &["-h", "-t", "all", "--me", &name, "-o", text::QUEUE_FORMAT])
        .map(|text| text::queue(&text))
}

/// What Slurm's accounting says of some jobs.
pub fn history(jobs: &[u64]) -> Result<Vec<Row>, SlurmError> {
    let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let jobs = jobs.join(",");
    let printed = call("sacct", &["-X", "-n", "-P", "-j", &jobs, "-o", text::HISTORY_FORMAT])?;
    Ok(text::history(&printed))
}

/// The exit code and the signal of one job of an array, as long as Slurm remembers it.
pub fn exit(job: u64, index: u32) -> Option<(i32, i32)> {
    let printed = call("scontrol", &["-o", "show", "job", &format!("{job}_{index}")]).ok()?;
    text::exit(&printed)
}

/// Cancels jobs; `only_waiting` spares those that run.
pub fn cancel(jobs: &[String], only_waiting: bool) -> Result<(), SlurmError> {
    const AT_ONCE: usize = 500;
    let waiting: &[&str] = if only_waiting { &["--state=PENDING"] } else { &[] };
    for jobs in jobs.chunks(AT_ONCE) {
        let jobs = jobs.iter().map(String::as_str);
        call(
            "scancel",
            &["--quiet"].into_iter().chain(waiting.iter().copied()).chain(jobs).collect::<Vec<_>>(),
        )?;
    }
    Ok(())
}

/// Cancels all jobs of this name.
pub fn cancel_all(name: &str) -> Result<(), SlurmError> {
    call("scancel", &["--quiet", "--me", &format!("--name={name}")]).map(drop)
}

/// Calls one of Slurm's programs; returns what it printed.
fn call(program: &'static str, arguments: &[&str]) -> Result<String, SlurmError> {
    let not_there = |source| SlurmError::NotThere { program, source };
    let (printed, writer) = std::io::pipe().map_err(not_there)?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(not_there)?).stderr(writer.try_clone().map_err(not_there)?);
    clean(&mut command);
    let child = command.spawn().map_err(not_there)?;
    let (mut bytes, never) = (Vec::new(), AtomicBool::new(false));
    let cancel = Cancel::new(&never).by(Some(Instant::now() + PATIENCE));
    let ended = child::wait(child, &printed, &mut |more| bytes.extend_from_slice(more), cancel);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match ended.map_err(not_there)? {
        None => Err(SlurmError::Away { program, words: format!("{} s went by", PATIENCE.as_secs()) }),
        Some(status) if status.success() => Ok(text),
        Some(_) if is_away(&text) => Err(SlurmError::Away { program, words: words(&text) }),
        Some(_) => Err(SlurmError::Refused { program, words: words(&text) }),
    }
}

/// Takes what is about another job, or a user's habits, out of the environment.
fn clean(command: &mut Command) {
    let is_of_slurm = |name: &str| name != WHERE && OF_SLURM.iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_slurm)) {
        command.env_remove(name);
    }
    // Or the indices of an array are cut off after 64 characters.
    command.env("SLURM_BITSTR_LEN", "0");
}

/// What a program said, on one line, without its own name before each.
fn words(text: &str) -> String {
    let line = |line: &str| {
        let rest = line.split_once(": error: ").map_or(line, |(_, rest)| rest);
        rest.trim().to_owned()
    };
    let lines: Vec<String> = text.lines().map(line).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { "it said nothing".to_owned() } else { lines.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Slurm 22.05.8.
    #[test]
    fn refusals_have_their_own_words_and_a_hint() {
        let text = "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n";
        let error = SlurmError::Refused { program: "sbatch", words: words(text) };
        assert_eq!(
            error.to_string(),
            "'sbatch' refused: invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
        );
        assert!(error.hint().contains("sinfo"), "{}", error.hint());
        for (words, word) in [
            (
                "Memory specification can not be satisfied; Requested node configuration is not available",
                "'memory'",
            ),
            ("Invalid job array specification", "arrays"),
            (
                "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
                "'submitted'",
            ),
            ("Invalid account or account/partition combination specified", "sinfo"),
        ] {
            assert!(hint(words).contains(word), "{words}: {}", hint(words));
        }
        assert!(is_away("slurm_load_jobs error: Unable to contact slurm controller (connect failure)"));
        assert!(is_away("Batch job submission failed: Socket timed out on send/recv operation"));
        assert!(!is_away(text));
    }
}
