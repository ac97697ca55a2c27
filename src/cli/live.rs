//! Writes what happens in a run to the store, for `watch`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::cli::events::{Line, Timed, Wanted};
use crate::cli::machine;
use crate::cli::project::Project;
use crate::engine::{Event, Observer, Outcome, Plan, Status};
use crate::stage::Report;
use crate::store::live::LiveLog;

/// The shortest time between two lines about the progress of a stage.
const OFTEN: Duration = Duration::from_millis(200);
/// It is at least this part of the time since the first: so a training of days writes a few thousand, not a million.
const PART: u32 = 2000;

/// The observer. Nothing that happens to its file matters to the run.
pub(super) struct Live {
    log: LiveLog,
    /// Lines that say nothing new: they are written with the next that does.
    pending: String,
    /// When each stage told its progress: first and last.
    told: BTreeMap<String, (Instant, Instant)>,
}

impl Live {
    /// Begins the file of a run; `None` where the store may not be written.
    pub(super) fn begin(project: &Project, plan: &Plan, host: String) -> Option<Self> {
        let nodes = &project.keyed.nodes;
        let wanted = nodes.iter().zip(&plan.statuses).filter(|(_, status)| **status != Status::Unwanted);
        let stages = wanted.map(|(node, _)| {
            let (stage, first) = (node.node.to_string(), nodes[node.twin].node.to_string());
            let kind = node.node.work.kind().name.to_owned();
            Wanted { same_as: (first != stage).then_some(first), stage, kind }
        });
        let line = Line::Opened {
            pipeline: project.keyed.pipeline.clone(),
            pid: std::process::id(),
            host,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            stages: stages.collect(),
        };
        let log = LiveLog::begin(&project.store, &project.keyed.pipeline, &now(line)).ok()?;
        Some(Self { log, pending: String::new(), told: BTreeMap::new() })
    }

    /// Whether an event is worth a line: of progress, only some is.
    fn is_worth_it(&mut self, event: &Event<'_>) -> bool {
        let Event::Reported { node, report: Report::Progress { done, total, .. } } = event else {
            return true;
        };
        let (now, stage) = (Instant::now(), node.node.to_string());
        let Some((first, last)) = self.told.get_mut(&stage) else {
            self.told.insert(stage, (now, now));
            return true;
        };
        let is_time = now - *last >= OFTEN.max((now - *first) / PART);
        if is_time {
            *last = now;
        }
        is_time || done == total
    }
}

impl Observer for Live {
    fn event(&mut self, event: &Event<'_>) {
        if !self.is_worth_it(event) {
            return;
        }
        self.pending += &now(Line::of(event));
        if !matches!(event, Event::Ended { outcome: Outcome::Cached(_), is_foreseen: true, .. }) {
            let _ = self.log.add(&std::mem::take(&mut self.pending));
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // A panic is a death: it has no last line.
        if !std::thread::panicking() {
            let _ = self.log.add(&(std::mem::take(&mut self.pending) + &now(Line::Closed)));
        }
    }
}

fn now(line: Line) -> String {
    Timed { time: machine::now(), line }.to_text()
}
