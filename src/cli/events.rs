//! Events as lines of JSON: what `run --json` prints, what a run leaves for `watch`, and what `watch` reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::{Event, Outcome};
use crate::stage::{Report, StageKey};

/// What one line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Line {
    /// The first line of a file: who runs what, where.
    Opened {
        pipeline: String,
        pid: u32,
        host: String,
        version: String,
        /// In the order of the pipeline.
        stages: Vec<Wanted>,
    },
    Planned {
        wanted: usize,
        misses: usize,
    },
    Started {
        stage: String,
        kind: String,
        key: StageKey,
        threads: usize,
    },
    Submitted {
        stage: String,
        job: String,
    },
    Waiting {
        stage: String,
    },
    Retried {
        stage: String,
        error: String,
    },
    Progress {
        stage: String,
        done: u64,
        total: u64,
        unit: String,
        note: String,
    },
    Note {
        stage: String,
        text: String,
    },
    Scalars {
        stage: String,
        step: u64,
        /// What is no number, as after a divergence, has none.
        values: BTreeMap<String, Option<f64>>,
    },
    Ended {
        stage: String,
        outcome: End,
        detail: Option<String>,
    },
    /// What a run took from a remote before it began.
    Fetched {
        remote: String,
        /// How many stages are done there that are not done here.
        there: usize,
        results: usize,
        objects: usize,
        bytes: u64,
        received: u64,
    },
    /// What a remote has of a stage is not right; the stage runs here.
    Refused {
        stage: String,
        why: String,
    },
    /// What a run brought to a remote when it had ended.
    Pushed {
        remote: String,
        results: usize,
        objects: usize,
        bytes: u64,
        sent: u64,
    },
    /// The last line of a file, unless the process died.
    Closed,
    /// Of another version of this program.
    #[serde(other)]
    Unknown,
}

/// A stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) stage: String,
    pub(super) kind: String,
    /// An equal stage that is run in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) same_as: Option<String>,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Cached,
    Built,
    Failed,
    Skipped,
    Interrupted,
}

/// A line of a file: what happened, and when, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Timed {
    pub(super) time: f64,
    #[serde(flatten)]
    pub(super) line: Line,
}

impl Line {
    /// What an event says.
    pub(super) fn of(event: &Event<'_>) -> Self {
        match event {
            Event::Planned { wanted, misses } => Self::Planned { wanted: *wanted, misses: *misses },
            Event::Started { node, threads } => {
                let kind = node.node.work.kind().name.to_owned();
                Self::Started { stage: node.node.to_string(), kind, key: node.key, threads: *threads }
            }
            Event::Submitted { node, job } => {
                Self::Submitted { stage: node.node.to_string(), job: (*job).to_owned() }
            }
            Event::Waiting { node } => Self::Waiting { stage: node.node.to_string() },
            Event::Retried { node, error } => {
                Self::Retried { stage: node.node.to_string(), error: error.to_string() }
            }
            Event::Reported { node, report } => Self::of_report(node.node.to_string(), report),
            Event::Ended { node, outcome, .. } => {
                let (end, detail) = match outcome {
                    Outcome::Cached(_) => (End::Cached, None),
                    Outcome::Built(_) => (End::Built, None),
                    Outcome::Failed(error) => (End::Failed, Some(error.to_string())),
                    Outcome::Skipped { because } => (End::Skipped, Some(because.clone())),
                    Outcome::Interrupted => (End::Interrupted, None),
                };
                Self::Ended { stage: node.node.to_string(), outcome: end, detail }
            }
        }
    }

    fn of_report(stage: String, report: &Report) -> Self {
        match report.clone() {
            Report::Progress { done, total, unit, note } => {
                Self::Progress { stage, done, total, unit: unit.to_owned(), note }
            }
            Report::Note(text) => Self::Note { stage, text },
            Report::Scalars { step, values } => {
                let finite =
                    |(curve, value): (String, f64)| (curve, Some(value).filter(|value| value.is_finite()));
                Self::Scalars { stage, step, values: values.into_iter().map(finite).collect() }
            }
        }
    }

    /// As text, without a line break.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a line is plain data")
    }
}

impl Timed {
    /// Reads a line; `None` if it is torn.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As text, with its line break.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a line is plain data") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let stage = || "fit[seed=0]".to_owned();
        for line in [
            Line::Planned { wanted: 11, misses: 3 },
            Line::Progress { stage: stage(), done: 1, total: 2, unit: "batches".into(), note: String::new() },
            Line::Scalars {
                stage: stage(),
                step: 3,
                values: [("test/error".to_owned(), Some(0.1)), ("test/loss".to_owned(), None)].into(),
            },
            Line::Ended { stage: stage(), outcome: End::Cached, detail: None },
            Line::Closed,
        ] {
            let timed = Timed { time: 1.25, line };
            assert_eq!(Timed::parse(timed.to_text().trim_end()), Some(timed));
        }
        let later = r#"{"time":1.0,"event":"dreamt","of":"layers"}"#;
        assert_eq!(Timed::parse(later).unwrap().line, Line::Unknown);
        assert_eq!(Timed::parse(r#"{"time":1.0,"event":"no"#), None);
    }

    #[test]
    fn what_others_read_keeps_its_names() {
        let values = [("train/loss".to_owned(), Some(2.5)), ("test/error".to_owned(), Some(0.5))].into();
        let line = Line::Scalars { stage: "fit".into(), step: 0, values };
        assert_eq!(
            line.to_text(),
            r#"{"event":"scalars","stage":"fit","step":0,"values":{"test/error":0.5,"train/loss":2.5}}"#
        );
        let line = Line::Ended { stage: "fit".into(), outcome: End::Built, detail: None };
        assert_eq!(line.to_text(), r#"{"event":"ended","stage":"fit","outcome":"built","detail":null}"#);
    }
}
