//! How a job tells how it goes: lines in a file of its batch, from the job to whoever follows it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::stage::Report;

/// The shortest time between two lines about progress.
const OFTEN: Duration = Duration::from_secs(1);
/// It is at least this part of the time since the first.
const PART: u32 = 500;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Progress { done: u64, total: u64, unit: String, note: String },
    Note(String),
    Scalars { step: u64, values: BTreeMap<String, Option<f64>> },
}

/// Where a job tells how it goes. Nothing that happens to the file matters to the job.
#[derive(Debug)]
pub struct Teller {
    path: PathBuf,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    file: File,
    first: Instant,
    last: Instant,
}

impl Teller {
    /// Nothing is written until there is something to tell.
    pub fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::new(None) }
    }

    /// Tells a report; of progress, only some.
    pub fn tell(&self, report: &Report) {
        let now = Instant::now();
        let Ok(mut state) = self.state.lock() else { return };
        if let (Some(state), Report::Progress { done, total, .. }) = (state.as_ref(), report)
            && now - state.last < OFTEN.max((now - state.first) / PART)
            && done < total
        {
            return;
        }
        if state.is_none() {
            *state = fsx::append(&self.path).ok().map(|file| State { file, first: now, last: now });
        }
        let Some(state) = state.as_mut() else { return };
        state.last = now;
        let line = serde_json::to_string(&of(report)).expect("a line is plain data") + "\n";
        let _ = fsx::write_all(&mut state.file, &self.path, line.as_bytes());
    }
}

fn of(report: &Report) -> Line {
    match report.clone() {
        Report::Progress { done, total, unit, note } => {
            Line::Progress { done, total, unit: unit.to_owned(), note }
        }
        Report::Note(text) => Line::Note(text),
        Report::Scalars { step, values } => Line::Scalars {
            step,
            values: values
                .into_iter()
                .map(|(name, value)| (name, Some(value).filter(|v| v.is_finite())))
                .collect(),
        },
    }
}

/// Reads a line; `None` if it is torn, or of another version.
pub(super) fn parse(line: &str) -> Option<Report> {
    Some(match serde_json::from_str(line).ok()? {
        Line::Progress { done, total, unit, note } => {
            let known = ["epochs", "batches", "bytes", "probes", "images", "pictures", "resets", "steps"];
            let unit = known.into_iter().find(|known| *known == unit).unwrap_or("parts");
            Report::Progress { done, total, unit, note }
        }
        Line::Note(text) => Report::Note(text),
        Line::Scalars { step, values } => Report::Scalars {
            step,
            values: values.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.told");
        let teller = Teller::new(path.clone());
        teller.tell(&Report::Note("begins".to_owned()));
        for done in 0..1000 {
            teller.tell(&Report::Progress { done, total: 1000, unit: "epochs", note: String::new() });
        }
        teller.tell(&Report::Progress {
            done: 1000,
            total: 1000,
            unit: "epochs",
            note: "loss 0.1".to_owned(),
        });
        teller.tell(&Report::Scalars { step: 3, values: [("test/error".to_owned(), 0.25)].into() });
        let text = fsx::read_to_string(&path).unwrap();
        let heard: Vec<Report> = text.lines().filter_map(parse).collect();
        assert_eq!(heard.len(), 3, "{text}");
        assert!(matches!(&heard[1], Report::Progress { done: 1000, unit: "epochs", .. }));
        assert!(matches!(&heard[2], Report::Scalars { step: 3, values } if values["test/error"] == 0.25));
    }
}
