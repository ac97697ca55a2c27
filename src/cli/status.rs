//! `layerwise status`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Target;
use crate::cli::cluster::Jobs;
use crate::cli::failure::Failure;
use crate::cli::page::outln;
use crate::cli::project::Project;
use crate::engine::explain::{Change, Difference};
use crate::engine::{Explainer, Lock, Plan, Reason, Status as NodeStatus, Wish};
use crate::pipeline::KeyedNode;

/// Arguments of `status`.
#[derive(Args)]
pub(super) struct Status {
    #[command(flatten)]
    target: Target,
}

impl Status {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = Project::open(&self.target)?;
        let wish = Wish { targets: self.target.stages, ..Wish::default() };
        let plan = Plan::new(&project.keyed, &project.store, &wish)?;
        let width = project.name_width();
        let jobs = Jobs::ask(&project)?;
        for mut line in lines(&project, &plan)? {
            line.job = jobs.as_ref().filter(|_| line.is_miss()).and_then(|jobs| jobs.say(line.node.key));
            line.print(self.target.json, width)?;
        }
        Ok(())
    }
}

/// What there is to say of a wanted node.
pub(super) struct Line<'a> {
    node: &'a KeyedNode,
    /// `None` for a hit.
    reason: Option<Why<'a>>,
    /// How long it will take, judging by earlier executions; `None` for a hit, or where nothing is known.
    pub(super) seconds: Option<f64>,
    /// The job that is making it, and how that is.
    job: Option<(String, String)>,
}

struct Why<'a> {
    reason: &'a Reason,
    difference: Option<Difference>,
}

/// A line for each wanted node, in the order of the graph.
pub(super) fn lines<'a>(project: &'a Project, plan: &'a Plan) -> Result<Vec<Line<'a>>, Failure> {
    let lock = Lock::read(&project.results);
    let explainer = Explainer::new(&project.keyed.pipeline, &project.store, lock.as_ref());
    let usual = usual_seconds(project);
    let mut lines = Vec::new();
    for (node, status) in project.keyed.nodes.iter().zip(&plan.statuses) {
        let reason = match status {
            NodeStatus::Unwanted => continue,
            NodeStatus::Hit(_) | NodeStatus::Elsewhere(_) => {
                lines.push(Line { node, reason: None, seconds: None, job: None });
                continue;
            }
            NodeStatus::Miss(reason) => reason,
        };
        let difference = match reason {
            Reason::New => explainer.difference(node)?,
            _ => None,
        };
        let seconds = difference.as_ref().map(|difference| difference.seconds);
        let seconds = seconds.or_else(|| usual.get(node.fields.kind.as_str()).copied());
        lines.push(Line { node, reason: Some(Why { reason, difference }), seconds, job: None });
    }
    Ok(lines)
}

/// The median duration of each kind, over all executions in the store.
fn usual_seconds(project: &Project) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for summary in project.store.summaries() {
        all.entry(summary.kind.clone()).or_default().push(summary.seconds);
    }
    let median = |(kind, mut seconds): (String, Vec<f64>)| {
        seconds.sort_by(f64::total_cmp);
        (kind, seconds[seconds.len() / 2])
    };
    all.into_iter().map(median).collect()
}

impl Line<'_> {
    /// Whether the node must run.
    pub(super) fn is_miss(&self) -> bool {
        self.reason.is_some()
    }

    pub(super) fn print(&self, json: bool, width: usize) -> Result<(), Failure> {
        let (name, kind) = (self.node.node.to_string(), self.node.node.work.kind().name);
        let word = if self.is_miss() { "miss" } else { "hit" };
        let reason = self.reason.as_ref().map(Why::sentence).unwrap_or_default();
        let mut reason = reason;
        if let Some((job, words)) = &self.job
            && !json
        {
            reason = format!("{reason}; job {job} {words}");
        }
        if json {
            let changes = self.reason.as_ref().map_or(Value::Null, Why::changes);
            outln!(
                "{}",
                json!({ "stage": name, "kind": kind, "key": self.node.key, "status": word, "reason": reason,
                        "changes": changes, "seconds": self.seconds,
                        "job": self.job.as_ref().map(|(job, words)| json!({ "name": job, "state": words })) })
            )
        } else {
            outln!("{}", format!("{word:<4}  {name:<width$}  {kind:<10}  {reason}").trim_end())
        }
    }
}

impl Why<'_> {
    fn sentence(&self) -> String {
        match &self.difference {
            Some(difference) if !difference.changes.is_empty() => summarise(&difference.changes),
            _ => self.reason.to_string(),
        }
    }

    fn changes(&self) -> Value {
        let changes = self.difference.as_ref().map(|difference| &difference.changes);
        changes.map_or(Value::Null, |changes| changes.iter().map(ToString::to_string).collect())
    }
}

/// The first changes; `explain` has them all.
fn summarise(changes: &[Change]) -> String {
    const SHOWN: usize = 3;
    let mut words: Vec<String> = changes.iter().take(SHOWN).map(ToString::to_string).collect();
    if changes.len() > SHOWN {
        words.push(format!("and {} more", changes.len() - SHOWN));
    }
    words.join(", ")
}
