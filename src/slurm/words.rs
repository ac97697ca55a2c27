//! What is said of jobs.

use std::sync::Arc;

use crate::slurm::request::Request;
use crate::stage::StageError;

/// Slurm's reason for a job that it holds after the controller died.
pub(super) const HELD_FOR_EVER: &str = "launch_failed_requeued_held";

/// A job that ended badly.
#[derive(Debug)]
pub(super) struct Corpse {
    /// What Slurm called it.
    pub(super) job: String,
    /// Where it ran.
    pub(super) node: String,
    /// What it had asked for.
    pub(super) request: Arc<Request>,
    /// The end of what it printed.
    pub(super) log: String,
    pub(super) had_begun: bool,
}

/// What to say of a reason for which a job will wait for ever, or until somebody does something.
pub(super) fn never(reason: &str, job: &str) -> Option<String> {
    let what = match reason {
        "DependencyNeverSatisfied" => "what it depends on failed",
        "JobHeldUser" | "JobHeldAdmin" => {
            return Some(format!(
                "job {job} is held: 'scontrol release {job}' lets it go, 'scancel {job}' ends it"
            ));
        }
        "PartitionTimeLimit" => "it asks for more time than its partition gives",
        "PartitionNodeLimit" | "BadConstraints" | "ReqNodeNotAvail" => "no node has what it asks for",
        "PartitionDown" | "PartitionInactive" => "its partition is down",
        reason if reason.starts_with("Assoc") || reason.starts_with("QOS") => {
            "a limit of its account is reached"
        }
        _ => return None,
    };
    Some(format!("job {job} waits, perhaps for ever: {what} (Slurm says '{reason}')"))
}

/// The job failed, and would again.
pub(super) fn failed(corpse: &Corpse, error: &str, hint: Option<String>) -> StageError {
    let text = format!("{error} (job {}{})", corpse.job, corpse.place());
    let hint = hint.unwrap_or_else(|| "look at what it printed with 'layerwise log'".to_owned());
    StageError::with_hint(text + &corpse.tail(), hint)
}

/// Its record cannot be seen.
pub(super) fn no_result(corpse: &Corpse) -> StageError {
    let text = format!("job {} ended well{}, and its result cannot be seen here", corpse.job, corpse.place());
    StageError::with_hint(text, "look whether the nodes see the same store as this host, under the same path")
}

/// Somebody cancelled it.
pub(super) fn cancelled(corpse: &Corpse) -> StageError {
    let when = if corpse.had_begun { "while it ran" } else { "while it waited in the queue" };
    let text = format!("job {} was cancelled {when}{}", corpse.job, corpse.place());
    StageError::with_hint(
        text,
        "run the same command again: it submits what is missing, and goes on from kept states",
    )
}

/// It asked for more memory than it had.
pub(super) fn out_of_memory(corpse: &Corpse, more: Option<&Request>) -> StageError {
    let had = corpse.request.memory.map_or("what the cluster gives by default".to_owned(), memory);
    let mut text = format!("job {} ran out of memory{}: it had {had}", corpse.job, corpse.place());
    if let Some(more) = more.and_then(|more| more.memory) {
        text = format!("{text}, the next attempt has {}", memory(more));
    }
    text += &corpse.tail();
    StageError::with_hint(
        text,
        "give it more with 'resources: { memory: 8 GiB }', and let that grow with 'retries: { memory: x2 }'",
    )
}

/// Its time was over.
pub(super) fn out_of_time(corpse: &Corpse, more: Option<&Request>) -> StageError {
    let time = |request: &Request| request.time.map(|time| length(time.as_secs()));
    let had = time(&corpse.request).unwrap_or_else(|| "what the cluster gives by default".to_owned());
    let mut text = format!("job {} ran out of time{}: it had {had}", corpse.job, corpse.place());
    if let Some(more) = more.and_then(time) {
        text = format!("{text}, the next attempt has {more}");
    }
    StageError::with_hint(
        text,
        "give it more with 'resources: { time: 2 h }', and let that grow with 'retries: { time: x2 }'; a training goes on from its last kept state",
    )
}

/// It is not to blame.
pub(super) fn lost(corpse: &Corpse, why: &str, is_again: bool) -> StageError {
    let again = if is_again { "; it is submitted again" } else { "; it was submitted again often enough" };
    let text = format!("job {} is lost{}: {why}{again}", corpse.job, corpse.place());
    StageError::with_hint(text, "look at the nodes with 'sinfo -R', and run the same command again")
}

/// `90 s`, `30 min`, `4 h`.
fn length(seconds: u64) -> String {
    match seconds {
        0..300 => format!("{seconds} s"),
        300..36_000 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// `512 MiB`, `4 GiB`.
fn memory(bytes: u64) -> String {
    let mebibytes = bytes.div_ceil(1 << 20);
    if mebibytes >= 1024 && mebibytes.is_multiple_of(1024) {
        format!("{} GiB", mebibytes / 1024)
    } else {
        format!("{mebibytes} MiB")
    }
}

impl Corpse {
    fn place(&self) -> String {
        if self.node.is_empty() { String::new() } else { format!(" on {}", self.node) }
    }

    /// The last lines of its log, below what is said.
    fn tail(&self) -> String {
        const LINES: usize = 5;
        let lines: Vec<&str> = self.log.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            return String::new();
        }
        let last: Vec<String> =
            lines[lines.len().saturating_sub(LINES)..].iter().map(|line| format!("  | {line}")).collect();
        format!("\nits log ends with\n{}", last.join("\n"))
    }
}
