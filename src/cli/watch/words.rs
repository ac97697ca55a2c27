//! What is said of a run in words: the same on the screen and on the page.

use crate::cli::page::duration;
use crate::cli::watch::state::{Phase, Run, Stage, Status};

/// `running for 12.0 s`, `ended after 3 min 5 s`.
pub(super) fn phase(run: &Run, now: f64) -> String {
    let time = duration((run.until(now) - run.began).max(0.0));
    match run.phase {
        Phase::Running => format!("running for {time}"),
        Phase::Ended if run.count(&[Status::Failed]) > 0 => format!("failed after {time}"),
        Phase::Ended if run.count(&[Status::Stopped]) > 0 => format!("stopped after {time}"),
        Phase::Ended if run.count(&[Status::Waiting, Status::InQueue, Status::Running]) > 0 => {
            format!("broke off after {time}")
        }
        Phase::Ended => format!("ended after {time}"),
        Phase::Died => format!("ended without a word after {time}: its process is gone"),
    }
}

/// `3 of 11 stages done, 2 of them cached`.
pub(super) fn counts(run: &Run) -> String {
    let (done, cached) = (run.count(&[Status::Done, Status::Cached]), run.count(&[Status::Cached]));
    let cached = if cached > 0 { format!(", {cached} of them cached") } else { String::new() };
    format!("{done} of {} stages done{cached}", run.stages.len())
}

/// The word of a status.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Waiting => "waiting",
        Status::InQueue => "in queue",
        Status::Elsewhere => "elsewhere",
        Status::Running => "running",
        Status::Done => "done",
        Status::Cached => "cached",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
        Status::Stopped => "stopped",
        Status::Lost => "died",
    }
}

/// ` 62%`, where something is known.
pub(super) fn percent(stage: &Stage) -> String {
    match (stage.status, stage.share()) {
        (Status::Cached | Status::Done, _) | (_, None) => String::new(),
        (_, Some(share)) => format!("{:.0}%", (share * 100.0).floor()),
    }
}

/// How long a stage runs or ran, where it does or did.
pub(super) fn time(stage: &Stage, run: &Run, now: f64) -> String {
    stage.seconds(run.until(now)).map(duration).unwrap_or_default()
}

/// What a stage says, on one line.
pub(super) fn note(stage: &Stage) -> String {
    match stage.status {
        Status::Elsewhere => "another run is making this".to_owned(),
        _ => stage.note.replace(['\n', '\r', '\t'], " "),
    }
}

/// A bar of so many characters, as long as the share that is done.
pub(super) fn bar(share: f64, width: usize) -> String {
    let halves = (share.clamp(0.0, 1.0) * 2.0 * width as f64) as usize;
    let (full, half) = (halves / 2, halves % 2);
    format!("{}{}{}", "━".repeat(full), "╸".repeat(half), "─".repeat(width - full - half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::watch::state::tests::run;

    #[test]
    fn bars_are_as_wide_as_they_should_be() {
        assert_eq!(
            [0.0, 0.3, 0.5, 1.0, 7.0].map(|share| bar(share, 4)),
            ["────", "━───", "━━──", "━━━━", "━━━━"]
        );
        assert_eq!(bar(0.375, 4), "━╸──");
    }

    #[test]
    fn a_run_is_told_in_a_sentence() {
        let mut told = run("");
        assert_eq!(
            (phase(&told, 175.0), counts(&told)),
            ("running for 1 min 15 s".to_owned(), "1 of 5 stages done, 1 of them cached".to_owned())
        );
        told.lose();
        assert_eq!(phase(&told, 175.0), "ended without a word after 8.5 s: its process is gone");
        let stopped = r#"{"time":103.0,"event":"ended","stage":"table","outcome":"interrupted","detail":null}
{"time":103.0,"event":"closed"}"#;
        assert_eq!(phase(&run(stopped), 175.0), "stopped after 3.0 s");
        let failed = stopped.replace("interrupted", "failed");
        assert_eq!(phase(&run(&failed), 175.0), "failed after 3.0 s");
    }
}
