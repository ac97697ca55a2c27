//! What came of a job, from what Slurm says and what the job itself said: neither alone is enough.
//!
//! Slurm calls a cancelled job's exit code 0, blames the launch for a signal, and forgets elements of arrays that were cancelled while they
//! waited; a job that was killed says nothing. So what a job says of success is believed when its record is there, and a failure when
//! both have spoken or one has had its time.

use std::time::Duration;

use crate::slurm::batch::End;
use crate::slurm::text::State;

/// How long files may take to be seen on another host.
pub(super) const FILES: Duration = Duration::from_mins(1);
/// How long Slurm may take to say how a job ended that has said so itself.
const SLURM: Duration = Duration::from_secs(30);
/// How long a job's own word may take to be seen, when Slurm says that it failed.
const WORD: Duration = Duration::from_secs(10);

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its record should be there.
    Done,
    /// Nothing is certain yet.
    Open,
    /// Trying again would give the same.
    Failed {
        /// In words.
        error: String,
        /// What to do.
        hint: Option<String>,
    },
    /// It needs more memory.
    OutOfMemory,
    /// It needs more time; what it had done is kept if its kind keeps states.
    OutOfTime,
    /// It is not to blame: its node, or a job that was more important.
    Lost {
        /// In words.
        why: String,
        /// Whether others would fare likewise on that node.
        is_the_node: bool,
    },
    /// Somebody cancelled it.
    Cancelled,
    /// Its job did not come to it.
    Left,
}

/// What is known of a job.
#[derive(Debug, Default)]
pub struct Known<'a> {
    /// What Slurm said last, if that is an end, and how long ago.
    pub state: Option<(State, Duration)>,
    /// What the job said, and how long ago that was seen.
    pub end: Option<(&'a End, Duration)>,
    /// Exit code and signal, if Slurm tells.
    pub exit: Option<(i32, i32)>,
    /// The end of what it printed.
    pub log: String,
}

/// Judges a job.
pub fn judge(known: &Known<'_>) -> Verdict {
    let end = known.end.map(|(end, _)| end);
    match end {
        Some(End::Done) => return Verdict::Done,
        Some(End::Left) => return Verdict::Left,
        Some(End::Refused { error, hint }) => {
            return Verdict::Failed { error: error.clone(), hint: hint.clone() };
        }
        Some(End::Stopped { signal }) if signal == "USR1" => return Verdict::OutOfTime,
        _ => {}
    }
    let Some((state, ago)) = known.state else {
        return match known.end {
            Some((end, ago)) if ago >= SLURM => by_end(end),
            _ => Verdict::Open,
        };
    };
    match state {
        State::Pending | State::Running => Verdict::Open,
        State::OutOfMemory => Verdict::OutOfMemory,
        State::TimedOut => Verdict::OutOfTime,
        State::NodeFailed => Verdict::Lost { why: "its node failed".to_owned(), is_the_node: false },
        State::Preempted => {
            Verdict::Lost { why: "it gave way to a more important job".to_owned(), is_the_node: false }
        }
        State::Cancelled => Verdict::Cancelled,
        State::Completed => match end {
            Some(end) => by_end(end),
            // Its record may be there though its own word cannot be seen yet.
            None if ago < FILES => Verdict::Done,
            None => Verdict::Failed {
                error: "its job ended well and left no result".to_owned(),
                hint: Some("look whether the nodes see the same files as this host".to_owned()),
            },
        },
        State::Failed => match (end, known.exit) {
            (_, Some((0, 9))) if names_memory(&known.log) => Verdict::OutOfMemory,
            (Some(end), _) => by_end(end),
            (None, Some((0, 53))) => {
                Verdict::Lost { why: "it could not be started on its node".to_owned(), is_the_node: true }
            }
            (None, _) if ago < WORD => Verdict::Open,
            (None, exit) => by_exit(exit),
        },
    }
}

fn by_end(end: &End) -> Verdict {
    match end {
        End::Done => Verdict::Done,
        End::Left => Verdict::Left,
        End::Failed { error, hint } | End::Refused { error, hint } => {
            Verdict::Failed { error: error.clone(), hint: hint.clone() }
        }
        End::Stopped { signal } if signal == "USR1" => Verdict::OutOfTime,
        End::Stopped { .. } => Verdict::Cancelled,
    }
}

/// A job that said nothing before it ended.
fn by_exit(exit: Option<(i32, i32)>) -> Verdict {
    let (error, hint) = match exit {
        Some((0, 9)) => (
            "its job was killed (signal 9)".to_owned(),
            "give it more memory if it needs that: where Slurm does not count it, the system kills",
        ),
        Some((0, signal)) if signal > 0 => (
            format!("its job was ended by signal {signal}"),
            "report this as a bug of layerwise if it happens again",
        ),
        Some((127 | 126, _)) => (
            "its job found no program to run".to_owned(),
            "name this program as the nodes see it: 'program' in the profile slurm.yaml",
        ),
        Some((code, _)) => (
            format!("its job ended with code {code}"),
            "look at the end of its log, and at 'setup' in slurm.yaml",
        ),
        None => ("its job failed".to_owned(), "look at the end of its log"),
    };
    Verdict::Failed { error, hint: Some(hint.to_owned()) }
}

/// Where Slurm counts memory itself, only the log tells why it killed.
fn names_memory(log: &str) -> bool {
    let log = log.to_lowercase();
    ["memory limit", "oom-kill", "oom_kill", "out of memory"].iter().any(|words| log.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(
        state: Option<State>,
        end: Option<&End>,
        exit: Option<(i32, i32)>,
        log: &str,
        ago: u64,
    ) -> Verdict {
        let ago = Duration::from_secs(ago);
        judge(&Known {
            state: state.map(|state| (state, ago)),
            end: end.map(|end| (end, ago)),
            exit,
            log: log.to_owned(),
        })
    }

    fn failed(words: &str) -> End {
        End::Failed { error: words.to_owned(), hint: None }
    }

    type Right = Box<dyn Fn(&Verdict) -> bool>;

    /// The situations that were observed, by their numbers.
    #[test]
    fn what_slurm_reports_is_understood() {
        let stopped = |signal: &str| End::Stopped { signal: signal.to_owned() };
        let (term, time, died) = (stopped("TERM"), stopped("USR1"), failed("no room"));
        let lost = |is_the_node| move |v: &Verdict| matches!(v, Verdict::Lost { is_the_node: is, .. } if *is == is_the_node);
        let says = |word: &'static str| move |v: &Verdict| matches!(v, Verdict::Failed { error, .. } if error.contains(word));
        let is = |right: Verdict| move |v: &Verdict| *v == right;
        let rows: Vec<(Verdict, Right)> = vec![
            // exit 7; a signal; a program that is not there; no folder for its output
            (verdict(Some(State::Failed), None, Some((7, 0)), "", 20), Box::new(says("code 7"))),
            (verdict(Some(State::Failed), None, Some((0, 11)), "", 20), Box::new(says("signal 11"))),
            (verdict(Some(State::Failed), None, Some((127, 0)), "", 20), Box::new(says("no program"))),
            (verdict(Some(State::Failed), None, Some((0, 53)), "", 0), Box::new(lost(true))),
            // the stage's own words come first, and are waited for
            (verdict(Some(State::Failed), Some(&died), Some((1, 0)), "", 0), Box::new(says("no room"))),
            (verdict(Some(State::Failed), None, Some((1, 0)), "", 5), Box::new(is(Verdict::Open))),
            (verdict(None, Some(&died), None, "", 5), Box::new(is(Verdict::Open))),
            (verdict(None, Some(&died), None, "", 31), Box::new(says("no room"))),
            // memory, with a cgroup (a child was killed, the stage itself was not) and without
            (verdict(Some(State::OutOfMemory), Some(&died), None, "", 0), Box::new(is(Verdict::OutOfMemory))),
            (
                verdict(Some(State::Failed), None, Some((0, 9)), "error: Job 7 exceeded memory limit", 0),
                Box::new(is(Verdict::OutOfMemory)),
            ),
            // time: Slurm's word, or the warning that the job heeded
            (verdict(Some(State::TimedOut), None, None, "", 0), Box::new(is(Verdict::OutOfTime))),
            (
                verdict(Some(State::Failed), Some(&time), Some((1, 0)), "", 0),
                Box::new(is(Verdict::OutOfTime)),
            ),
            // cancelled, though its exit code is 0
            (
                verdict(Some(State::Cancelled), Some(&term), Some((0, 0)), "", 0),
                Box::new(is(Verdict::Cancelled)),
            ),
            (verdict(Some(State::NodeFailed), None, None, "", 0), Box::new(lost(false))),
            (verdict(Some(State::Preempted), Some(&term), None, "", 0), Box::new(lost(false))),
            // done, whatever else happened then
            (verdict(Some(State::NodeFailed), Some(&End::Done), None, "", 0), Box::new(is(Verdict::Done))),
            (verdict(Some(State::Completed), None, None, "", 5), Box::new(is(Verdict::Done))),
            (verdict(Some(State::Completed), None, None, "", 61), Box::new(says("no result"))),
            (verdict(Some(State::Running), None, None, "", 0), Box::new(is(Verdict::Open))),
        ];
        for (row, (verdict, is_right)) in rows.iter().enumerate() {
            assert!(is_right(verdict), "row {row}: {verdict:?}");
        }
    }
}
