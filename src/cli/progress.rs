//! Observers: bars on a terminal, plain lines elsewhere, JSON lines where asked for.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::events::Line;
use crate::cli::page::outln;
use crate::engine::{Event, Observer, Outcome};
use crate::pipeline::KeyedNode;
use crate::stage::Report;

/// Chooses the observer that fits.
pub(super) fn observer(json: bool) -> Box<dyn Observer> {
    if json {
        Box::new(Json)
    } else if std::io::stderr().is_terminal() {
        Box::new(Live::default())
    } else {
        Box::new(Plain::default())
    }
}

/// How many bytes of a command's work are done, once it takes longer than people wait.
pub(super) struct Bar {
    bar: ProgressBar,
    start: Instant,
}

impl Bar {
    pub(super) fn new(what: &'static str) -> Self {
        let bar = ProgressBar::new(0);
        let template = "{bytes} of {total_bytes} {msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("a template"));
        bar.set_message(what);
        Self { bar, start: Instant::now() }
    }

    pub(super) fn tell(&self, done: u64, total: u64) {
        const PATIENCE: Duration = Duration::from_secs(1);
        if self.start.elapsed() > PATIENCE {
            self.bar.set_length(total);
            self.bar.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line per event, without times; progress every tenth of the way.
#[derive(Default)]
struct Plain {
    tenths: BTreeMap<String, u64>,
}

impl Observer for Plain {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Reported { node, report: Report::Progress { done, total, unit, note } } = event {
            let tenth = done * 10 / total.max(&1);
            let last = self.tenths.entry(node.node.to_string()).or_default();
            if tenth > *last {
                *last = tenth;
                eprintln!(
                    "{}: {}",
                    node.node,
                    [&format!("{done}/{total} {unit}"), note.as_str()].join("  ").trim_end()
                );
            }
        } else if let Some(line) = sentence(event) {
            eprintln!("{line}");
        }
    }
}

/// What an event says in one line; `None` for progress, for curves, and for what was known to be done.
fn sentence(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Planned { wanted, misses } => format!("{misses} of {wanted} stages to run"),
        Event::Started { node, threads } => {
            format!(
                "{}: {} started on {threads} {}",
                node.node,
                kind(node),
                if *threads == 1 { "thread" } else { "threads" }
            )
        }
        Event::Submitted { node, job } => format!("{}: in the queue as job {job}", node.node),
        Event::Waiting { node } => format!("{}: another run is making this; waiting for it", node.node),
        Event::Retried { node, error } => format!("{}: failed, and is tried again: {error}", node.node),
        Event::Reported { report: Report::Progress { .. } | Report::Scalars { .. }, .. }
        | Event::Ended { outcome: Outcome::Cached(_), is_foreseen: true, .. } => return None,
        Event::Reported { node, report: Report::Note(text) } => format!("{}: {text}", node.node),
        Event::Ended { node, outcome, .. } => match outcome {
            Outcome::Cached(_) => format!("{}: cached, it reads the same as before", node.node),
            Outcome::Built(_) => format!("{}: done", node.node),
            Outcome::Failed(_) => format!("{}: failed", node.node),
            Outcome::Skipped { because } => format!("{}: not started, because '{because}' failed", node.node),
            Outcome::Interrupted => format!("{}: stopped", node.node),
        },
    })
}

fn kind(node: &KeyedNode) -> &'static str {
    node.node.work.kind().name
}

/// A bar per running stage, and a line per finished one above them.
#[derive(Default)]
struct Live {
    bars: MultiProgress,
    running: BTreeMap<String, ProgressBar>,
}

impl Live {
    fn line(&self, text: &str) {
        // A terminal that went away is no reason to stop.
        let _ = self.bars.println(text);
    }

    fn start(&mut self, node: &KeyedNode) {
        let style = ProgressStyle::with_template("{prefix:>20} {bar:30} {percent:>3}%  {msg}  {eta} left");
        let style = style.expect("the template is well-formed").progress_chars("━╸─");
        let bar = self.bars.add(ProgressBar::new(1).with_style(style).with_prefix(node.node.to_string()));
        bar.set_message(kind(node));
        self.running.insert(node.node.to_string(), bar);
    }
}

impl Observer for Live {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { node, .. } => self.start(node),
            Event::Reported { node, report: Report::Progress { done, total, unit, note } } => {
                if let Some(bar) = self.running.get(&node.node.to_string()) {
                    bar.set_length(*total);
                    bar.set_position(*done);
                    bar.set_message(format!("{done}/{total} {unit}  {note}"));
                }
            }
            Event::Ended { outcome: Outcome::Cached(_), is_foreseen: true, .. } => {}
            Event::Ended { node, .. } => {
                let bar = self.running.remove(&node.node.to_string());
                let seconds = bar.as_ref().map_or(0.0, |bar| bar.elapsed().as_secs_f64());
                bar.iter().for_each(ProgressBar::finish_and_clear);
                self.line(&format!("{}  ({seconds:.1} s)", sentence(event).unwrap_or_default()));
            }
            other => sentence(other).iter().for_each(|line| self.line(line)),
        }
    }
}

/// A JSON object per event on stdout.
struct Json;

impl Observer for Json {
    fn event(&mut self, event: &Event<'_>) {
        // A reader that is gone does not stop the work; a full disk is told at the end.
        _ = outln!("{}", Line::of(event).to_text());
    }
}
