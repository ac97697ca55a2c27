//! What Slurm's programs print, read into rows. Text, not JSON: its JSON changed from release to release, and left out exit codes.

use std::ops::RangeInclusive;

/// What `squeue -o` is asked for: array, index or indices, state, reason, nodes, comment.
pub(super) const QUEUE_FORMAT: &str = "%F|%K|%T|%r|%N|%k";
/// What `sacct -o` is asked for.
pub(super) const HISTORY_FORMAT: &str = "JobID,State,ExitCode,NodeList";

/// What Slurm says of a job, or of many that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The number of its array.
    pub job: u64,
    /// Its indices in it.
    pub indices: Vec<RangeInclusive<u32>>,
    /// What it is at.
    pub state: State,
    /// Why it waits, or how it ended.
    pub reason: String,
    /// Where it runs, or ran.
    pub nodes: String,
    /// What it was submitted with: the name of its batch.
    pub comment: String,
    /// Exit code and signal, where they are told.
    pub exit: Option<(i32, i32)>,
}

/// What a job is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It waits.
    Pending,
    /// It runs, or is about to end.
    Running,
    /// It ended with code 0: that says nothing of its result.
    Completed,
    /// It ended with another code, or by a signal.
    Failed,
    /// Its time was over.
    TimedOut,
    /// It asked for more memory than it had.
    OutOfMemory,
    /// Its node is gone, or did not start.
    NodeFailed,
    /// It gave way to another.
    Preempted,
    /// Somebody cancelled it.
    Cancelled,
}

impl State {
    /// Reads a state; of one that this program does not know nothing is concluded.
    fn parse(text: &str) -> Option<Self> {
        // As in 'CANCELLED by 1000'.
        Some(match text.split_whitespace().next()?.trim_end_matches('+') {
            "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => {
                Self::Pending
            }
            "RUNNING" | "CONFIGURING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "SIGNALING"
            | "STAGE_OUT" | "RESIZING" => Self::Running,
            "COMPLETED" => Self::Completed,
            "FAILED" | "REVOKED" => Self::Failed,
            "TIMEOUT" | "DEADLINE" => Self::TimedOut,
            "OUT_OF_MEMORY" => Self::OutOfMemory,
            "NODE_FAIL" | "BOOT_FAIL" | "LAUNCH_FAILED" | "RECONFIG_FAIL" => Self::NodeFailed,
            "PREEMPTED" => Self::Preempted,
            "CANCELLED" => Self::Cancelled,
            _ => return None,
        })
    }

    /// Whether it will run, or does.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

/// Reads what `squeue` printed. A line that cannot be read is left out.
pub fn queue(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let [job, indices, state, reason, nodes, comment] = fields[..] else { return None };
        Some(Row {
            job: job.parse().ok()?,
            indices: ranges(indices)?,
            state: State::parse(state)?,
            reason: reason.to_owned(),
            nodes: nodes.to_owned(),
            comment: comment.to_owned(),
            exit: None,
        })
    };
    text.lines().filter_map(row).collect()
}

/// Reads what `sacct -n -P` printed.
pub fn history(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let [id, state, exit, nodes] = fields[..] else { return None };
        let (job, index) = id.split_once('_')?;
        Some(Row {
            job: job.parse().ok()?,
            indices: ranges(index.trim_matches(['[', ']']))?,
            state: State::parse(state)?,
            reason: String::new(),
            nodes: nodes.replace("None assigned", ""),
            comment: String::new(),
            exit: pair(exit),
        })
    };
    text.lines().filter_map(row).collect()
}

/// The exit code and the signal in what `scontrol -o show job` printed.
pub fn exit(text: &str) -> Option<(i32, i32)> {
    text.split_whitespace().find_map(|word| word.strip_prefix("ExitCode=")).and_then(pair)
}

/// The value of a setting in what `scontrol show config` printed.
pub fn setting<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The number in `123` or `123;cluster`, as `sbatch --parsable` prints it; what a site's plugin prints before it is passed over.
pub fn submitted(text: &str) -> Option<u64> {
    let number = |line: &str| line.trim().split(';').next()?.parse().ok();
    text.lines().rev().find_map(number)
}

/// `0-3,7,9-20:2%4`.
fn ranges(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let text = text.split('%').next()?;
    let mut ranges = Vec::new();
    for part in text.split(',') {
        let (part, step) =
            part.split_once(':').map_or((part, 1), |(part, step)| (part, step.parse().unwrap_or(0)));
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        match step {
            0 => return None,
            1 => ranges.push(first..=last),
            step => ranges.extend((first..=last).step_by(step).map(|index| index..=index)),
        }
    }
    Some(ranges)
}

fn pair(text: &str) -> Option<(i32, i32)> {
    let (code, signal) = text.split_once(':')?;
    Some((code.parse().ok()?, signal.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Slurm 22.05.8.
    const QUEUE: &str = "\
4|8-38,40|PENDING|Resources||quick-0a1b
4|0|RUNNING|None|n1|quick-0a1b
4|4|COMPLETING|None|n2|quick-0a1b
5|0|OUT_OF_MEMORY|OutOfMemory|n1|quick-77aa
6|1|CANCELLED|None||(null)
7|N/A|RUNNING|None|n1|of another program
8|0-40:2%3|PENDING|JobArrayTaskLimit||quick-99
9|0|DREAMING|None|n1|of a later release
";

    #[test]
    fn the_queue_is_read() {
        let rows = queue(QUEUE);
        let told: Vec<_> = rows.iter().map(|row| (row.job, row.state, row.nodes.as_str())).collect();
        assert_eq!(
            told,
            [
                (4, State::Pending, ""),
                (4, State::Running, "n1"),
                (4, State::Running, "n2"),
                (5, State::OutOfMemory, "n1"),
                (6, State::Cancelled, ""),
                (8, State::Pending, ""),
            ]
        );
        assert_eq!(rows[0].indices, [8..=38, 40..=40]);
        assert_eq!((rows[5].indices.len(), rows[5].reason.as_str()), (21, "JobArrayTaskLimit"));
        assert_eq!(rows[0].comment, "quick-0a1b");
    }

    /// Recorded from sacct of 22.05.8 and 24.11.5.
    #[test]
    fn the_history_is_read() {
        let text = "11_5|CANCELLED by 0|0:0|n1\n11_6|TIMEOUT|0:15|n2\n11_[7-9]|PENDING|0:0|None assigned\n12|COMPLETED|0:0|n1\n";
        let rows = history(text);
        let told: Vec<_> = rows.iter().map(|row| (row.state, row.exit, row.nodes.as_str())).collect();
        assert_eq!(
            told,
            [
                (State::Cancelled, Some((0, 0)), "n1"),
                (State::TimedOut, Some((0, 15)), "n2"),
                (State::Pending, Some((0, 0)), ""),
            ]
        );
        assert_eq!(rows[2].indices, [7..=9]);
    }

    #[test]
    fn numbers_are_found_among_other_words() {
        let text =
            "JobId=8 ArrayJobId=4 JobState=FAILED Reason=JobLaunchFailure Requeue=0 ExitCode=0:53 RunTime=0";
        assert_eq!(exit(text), Some((0, 53)));
        let config = "AccountingStorageType   = accounting_storage/none\nMaxArraySize            = 10001\n";
        assert_eq!(setting(config, "MaxArraySize"), Some("10001"));
        assert_eq!(setting(config, "AccountingStorageType"), Some("accounting_storage/none"));
        assert_eq!(submitted("17\n"), Some(17));
        assert_eq!(submitted("Welcome to the cluster\n18;alpha\n"), Some(18));
        assert_eq!(submitted(""), None);
    }
}
