//! What is known of a run: a function of the lines that it wrote.

use std::collections::BTreeMap;

use crate::cli::events::{End, Line, Timed, Wanted};

/// A run, as far as it is told.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) pipeline: String,
    pub(super) pid: u32,
    pub(super) host: String,
    /// Seconds since 1970 of the first line, and of the latest.
    pub(super) began: f64,
    pub(super) latest: f64,
    pub(super) phase: Phase,
    /// In the order of the pipeline.
    pub(super) stages: Vec<Stage>,
    /// Where in `stages` that is which what a stage tells is about: itself, and those that are equal to it.
    places: BTreeMap<String, Vec<usize>>,
}

/// Whether a run goes on.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Running,
    Ended,
    /// Its process is gone, and it did not say that it ends.
    Died,
}

/// A stage of a run.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) status: Status,
    pub(super) progress: Option<Progress>,
    /// The latest that it said.
    pub(super) note: String,
    /// When it was started, and when it ended.
    pub(super) began: Option<f64>,
    pub(super) ended: Option<f64>,
    /// Points of its curves, by name, as in `test/error`.
    pub(super) curves: BTreeMap<String, Vec<(f64, f64)>>,
}

/// How far the work of a stage is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) total: u64,
}

/// What a stage is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Waiting,
    /// In the queue of a cluster.
    InQueue,
    /// Another run is making it.
    Elsewhere,
    Running,
    Done,
    Cached,
    Failed,
    Skipped,
    Stopped,
    /// It was running when the process died.
    Lost,
}

impl Run {
    /// Takes notice of a line.
    pub(super) fn take(&mut self, timed: Timed) {
        let Timed { time, line } = timed;
        self.latest = time;
        match line {
            Line::Opened { pipeline, pid, host, stages, .. } => {
                *self = Self { pipeline, pid, host, began: time, latest: time, ..Self::default() };
                for wanted in stages {
                    self.add(wanted);
                }
            }
            Line::Closed => self.phase = Phase::Ended,
            // What is told before and after a run is in no file.
            Line::Planned { .. }
            | Line::Fetched { .. }
            | Line::Refused { .. }
            | Line::Pushed { .. }
            | Line::Unknown => {}
            Line::Started { ref stage, .. }
            | Line::Submitted { ref stage, .. }
            | Line::Waiting { ref stage }
            | Line::Retried { ref stage, .. }
            | Line::Progress { ref stage, .. }
            | Line::Note { ref stage, .. }
            | Line::Scalars { ref stage, .. }
            | Line::Ended { ref stage, .. } => {
                for place in self.places.get(stage).into_iter().flatten() {
                    self.stages[*place].take(time, &line);
                }
            }
        }
    }

    fn add(&mut self, wanted: Wanted) {
        let Wanted { stage, kind, same_as } = wanted;
        let told = same_as.unwrap_or_else(|| stage.clone());
        self.places.entry(told).or_default().push(self.stages.len());
        self.stages.push(Stage {
            name: stage,
            kind,
            status: Status::Waiting,
            progress: None,
            note: String::new(),
            began: None,
            ended: None,
            curves: BTreeMap::new(),
        });
    }

    /// The process that wrote the lines is not there any more.
    pub(super) fn lose(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Died;
        for stage in &mut self.stages {
            if matches!(stage.status, Status::Running | Status::Elsewhere) {
                (stage.status, stage.ended) = (Status::Lost, Some(self.latest));
            }
        }
    }

    /// Until when its clocks go.
    pub(super) fn until(&self, now: f64) -> f64 {
        if self.phase == Phase::Running { now.max(self.latest) } else { self.latest }
    }

    /// How many stages are there with one of these statuses.
    pub(super) fn count(&self, statuses: &[Status]) -> usize {
        self.stages.iter().filter(|stage| statuses.contains(&stage.status)).count()
    }

    /// The stage that is worth a look: one that trains, else one that runs, else the last that ran.
    pub(super) fn focus(&self) -> Option<usize> {
        let find = |test: &dyn Fn(&Stage) -> bool| self.stages.iter().position(test);
        let is_running = |stage: &Stage| stage.status == Status::Running;
        find(&|stage| is_running(stage) && !stage.curves.is_empty())
            .or_else(|| find(&is_running))
            .or_else(|| find(&|stage| matches!(stage.status, Status::Failed | Status::Lost)))
            .or_else(|| self.stages.iter().rposition(|stage| stage.began.is_some()))
    }

    /// The stage whose curves are shown: this one if it has some, else one that trains, else the last that did.
    pub(super) fn curves_beside(&self, place: Option<usize>) -> Option<&Stage> {
        let has_curves = |stage: &&Stage| !stage.curves.is_empty();
        let of = |place: usize| self.stages.get(place).filter(has_curves);
        place
            .and_then(of)
            .or_else(|| self.focus().and_then(of))
            .or_else(|| self.stages.iter().rev().find(has_curves))
    }
}

impl Stage {
    fn take(&mut self, time: f64, line: &Line) {
        match line {
            Line::Started { .. } => {
                (self.status, self.began) = (Status::Running, Some(self.began.unwrap_or(time)));
            }
            Line::Submitted { job, .. } => {
                self.status = Status::InQueue;
                self.note = format!("job {job}");
            }
            Line::Waiting { .. } => self.status = Status::Elsewhere,
            Line::Retried { error, .. } => self.note = format!("failed, and is tried again: {error}"),
            Line::Progress { done, total, unit, note, .. } => {
                self.progress = Some(Progress { done: *done, total: *total });
                self.note = if note.is_empty() { format!("{done}/{total} {unit}") } else { note.clone() };
            }
            Line::Note { text, .. } => self.note.clone_from(text),
            Line::Scalars { step, values, .. } => self.add_points(*step as f64, values),
            Line::Ended { outcome, detail, .. } => self.end(time, *outcome, detail.as_deref()),
            _ => {}
        }
    }

    /// A training that is tried again tells its curves again.
    fn add_points(&mut self, step: f64, values: &BTreeMap<String, Option<f64>>) {
        for (name, value) in values.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
            let points = self.curves.entry(name.clone()).or_default();
            points.retain(|(before, _)| *before < step);
            points.push((step, value));
        }
    }

    fn end(&mut self, time: f64, outcome: End, detail: Option<&str>) {
        self.ended = Some(time);
        self.status = match outcome {
            End::Cached => Status::Cached,
            End::Built => Status::Done,
            End::Failed => Status::Failed,
            End::Skipped => Status::Skipped,
            End::Interrupted => Status::Stopped,
        };
        match (outcome, detail) {
            (End::Failed, Some(error)) => error.clone_into(&mut self.note),
            (End::Skipped, Some(because)) => self.note = format!("'{because}' failed"),
            (End::Built, _) if self.curves.is_empty() => self.note.clear(),
            _ => {}
        }
    }

    /// How much is done, in [0, 1].
    pub(super) fn share(&self) -> Option<f64> {
        match (self.status, self.progress) {
            (Status::Done | Status::Cached, _) => Some(1.0),
            (_, Some(Progress { done, total })) => Some((done as f64 / total.max(1) as f64).min(1.0)),
            _ => None,
        }
    }

    /// How long it runs, or ran.
    pub(super) fn seconds(&self, until: f64) -> Option<f64> {
        Some((self.ended.unwrap_or(until) - self.began?).max(0.0))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run of four stages, two of them equal, that is told so far: a training in its third epoch.
    pub(in crate::cli::watch) const LINES: &str = r#"
{"time":100.0,"event":"opened","pipeline":"quick","pid":7,"host":"here","version":"0.1.0","stages":[{"stage":"mnist","kind":"download"},{"stage":"fit[seed=0]","kind":"train"},{"stage":"fit[seed=1]","kind":"train"},{"stage":"same","kind":"train","same_as":"fit[seed=0]"},{"stage":"table","kind":"aggregate"}]}
{"time":100.0,"event":"planned","wanted":5,"misses":4}
{"time":100.0,"event":"ended","stage":"mnist","outcome":"cached","detail":null}
{"time":100.5,"event":"started","stage":"fit[seed=0]","kind":"train","key":"0000000000000000000000000000000000000000000000000000000000000000","threads":2}
{"time":101.0,"event":"scalars","stage":"fit[seed=0]","step":0,"values":{"test/error":0.9,"test/loss":2.4,"train/error":0.91,"train/loss":2.5}}
{"time":104.0,"event":"scalars","stage":"fit[seed=0]","step":1,"values":{"test/error":0.3,"test/loss":1.0,"train/error":0.4,"train/loss":1.2}}
{"time":107.0,"event":"scalars","stage":"fit[seed=0]","step":2,"values":{"test/error":0.1,"test/loss":0.3,"train/error":0.12,"train/loss":0.4}}
{"time":108.0,"event":"progress","stage":"fit[seed=0]","done":250,"total":400,"unit":"batches","note":"epoch 3/4  loss 0.3100  error 0.1000"}
{"time":108.5,"event":"of a later version","stage":"fit[seed=0]"}
{"time":109.0,"event":"to
"#;

    pub(in crate::cli::watch) fn run(more: &str) -> Run {
        let mut run = Run::default();
        let lines = LINES.lines().chain(more.lines());
        lines.filter_map(Timed::parse).for_each(|timed| run.take(timed));
        run
    }

    fn statuses(run: &Run) -> Vec<Status> {
        run.stages.iter().map(|stage| stage.status).collect()
    }

    #[test]
    fn lines_make_a_state() {
        use Status::{Cached, Running, Waiting};
        let run = run("");
        assert_eq!((run.pipeline.as_str(), run.pid, run.began, run.latest), ("quick", 7, 100.0, 108.5));
        assert_eq!(
            statuses(&run),
            [Cached, Running, Waiting, Running, Waiting],
            "the fourth is the second's twin"
        );
        let fit = &run.stages[1];
        assert_eq!((fit.share(), fit.seconds(110.5)), (Some(0.625), Some(10.0)));
        assert_eq!(fit.curves["test/error"], [(0.0, 0.9), (1.0, 0.3), (2.0, 0.1)]);
        assert_eq!((run.focus(), run.count(&[Running])), (Some(1), 2));
        assert_eq!(run.curves_beside(Some(0)).map(|stage| stage.name.as_str()), Some("fit[seed=0]"));
    }

    #[test]
    fn every_end_has_its_word() {
        let end = |outcome: &str, detail: &str| {
            let line = format!(
                r#"{{"time":120.5,"event":"ended","stage":"fit[seed=0]","outcome":"{outcome}","detail":{detail}}}"#
            );
            let run = run(&line);
            (run.stages[1].status, run.stages[1].note.clone(), run.stages[1].seconds(999.0))
        };
        let note = || "epoch 3/4  loss 0.3100  error 0.1000".to_owned();
        assert_eq!(end("built", "null"), (Status::Done, note(), Some(20.0)));
        assert_eq!(end("failed", "\"no room\""), (Status::Failed, "no room".to_owned(), Some(20.0)));
        assert_eq!(end("skipped", "\"fit\""), (Status::Skipped, "'fit' failed".to_owned(), Some(20.0)));
        assert_eq!(end("interrupted", "null"), (Status::Stopped, note(), Some(20.0)));
    }

    #[test]
    fn a_run_that_died_is_not_one_that_ended() {
        let mut died = run("");
        died.lose();
        assert_eq!(
            (died.phase, died.stages[1].status, died.until(999.0)),
            (Phase::Died, Status::Lost, 108.5)
        );
        assert_eq!(died.focus(), Some(1));
        let mut ended = run(r#"{"time":130.0,"event":"closed"}"#);
        ended.lose();
        assert_eq!((ended.phase, ended.until(999.0)), (Phase::Ended, 130.0));
    }

    #[test]
    fn a_training_that_is_tried_again_tells_its_curve_again() {
        let again = r#"{"time":110.0,"event":"retried","stage":"fit[seed=0]","error":"no room"}
{"time":111.0,"event":"scalars","stage":"fit[seed=0]","step":0,"values":{"test/error":0.8}}
{"time":111.0,"event":"scalars","stage":"fit[seed=0]","step":1,"values":{"test/error":0.2}}"#;
        let run = run(again);
        assert_eq!(run.stages[1].curves["test/error"], [(0.0, 0.8), (1.0, 0.2)]);
        assert_eq!(run.stages[1].note, "failed, and is tried again: no room");
    }
}
