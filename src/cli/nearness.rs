//! How near the results of a run come to those of an archive, stage by stage.
//!
//! Equal keys promise equal bytes. On another numerics class keys differ and numbers differ in their last digits: then tables are
//! compared by their numbers, and what cannot be read as numbers (weights, pictures) is judged by the tables that are made from it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::archive::Holdings;
use crate::base::digest::Digest;
use crate::cli::project::Project;
use crate::engine::Outcome;
use crate::table::difference::{self, MetricDifference};
use crate::table::tidy::Tidy;

/// What became of a stage.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// The same bytes.
    Identical,
    /// Tables whose numbers are within the tolerance: the metric that differs most, and by how much.
    Near { file: String, metric: String, largest: f64 },
    /// Other bytes, as is to be expected where the inputs or the machine's arithmetic are other.
    Follows { file: String },
    /// Other results.
    Different { what: String },
}

impl Verdict {
    /// For programs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Near { .. } => "near",
            Self::Follows { .. } => "follows",
            Self::Different { .. } => "different",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identical => f.write_str("identical"),
            Self::Near { file, metric, largest } => {
                write!(f, "within tolerance: {metric} in {file} differs by {largest:.2e} at most")
            }
            Self::Follows { file } => {
                write!(f, "other bytes in {file}, as its inputs or the numerics class are other")
            }
            Self::Different { what } => write!(f, "different: {what}"),
        }
    }
}

/// Judges every stage of a run; `archived` says where an object of the archive is laid.
pub(super) fn judge(
    project: &Project,
    outcomes: &[Option<Outcome>],
    holdings: &Holdings,
    archived: &dyn Fn(&str) -> PathBuf,
    tolerance: f64,
) -> Vec<(String, Verdict)> {
    let mut verdicts: Vec<(String, Verdict)> = Vec::new();
    for (node, outcome) in project.keyed.nodes.iter().zip(outcomes) {
        let name = node.node.to_string();
        let Some(entry) = holdings.lock.stages.get(&name) else {
            verdicts.push((name, Verdict::Different { what: "the archive has no such stage".to_owned() }));
            continue;
        };
        let Some(summary) = outcome.as_ref().and_then(Outcome::summary) else { continue };
        let mut inputs = node.node.inputs.iter().flat_map(|(_, sources)| sources);
        let is_other =
            inputs.any(|place| verdicts.get(*place).is_some_and(|(_, v)| *v != Verdict::Identical));
        let (record, _) = &holdings.records[&entry.key];
        let may_follow = is_other || record.fields.numerics != node.fields.numerics;
        let now: BTreeMap<String, Digest> =
            summary.outputs.iter().map(|output| (output.name.clone(), output.digest)).collect();
        let find = |digest: Digest| [archived(&digest.to_string()), project.store.object_path(digest)];
        let verdict = compare(&entry.outputs, &now, may_follow, tolerance, &find);
        verdicts.push((name, verdict));
    }
    verdicts
}

/// Compares the outputs of one stage.
fn compare(
    before: &BTreeMap<String, Digest>,
    now: &BTreeMap<String, Digest>,
    may_follow: bool,
    tolerance: f64,
    find: &dyn Fn(Digest) -> [PathBuf; 2],
) -> Verdict {
    if before.keys().ne(now.keys()) {
        return Verdict::Different { what: "it has other files".to_owned() };
    }
    let mut worst = Verdict::Identical;
    for (file, old) in before.iter().filter(|(file, old)| now[*file] != **old) {
        let ([old_path, _], [_, new_path]) = (find(*old), find(now[file]));
        let verdict = match largest(&old_path, &new_path) {
            Some(metric) if is_near(&metric, tolerance) => {
                Verdict::Near { file: file.clone(), metric: metric.metric, largest: metric.largest }
            }
            Some(MetricDifference { metric, largest, .. }) => Verdict::Different {
                what: format!("{metric} in {file} differs by {largest:.2e}, or in its rows"),
            },
            None if may_follow => Verdict::Follows { file: file.clone() },
            None => Verdict::Different {
                what: format!("{file} was {}, is now {}", old.short(), now[file].short()),
            },
        };
        if rank(&verdict) > rank(&worst) {
            worst = verdict;
        }
    }
    worst
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Identical => 0,
        Verdict::Follows { .. } => 1,
        Verdict::Near { .. } => 2,
        Verdict::Different { .. } => 3,
    }
}

/// The metric that differs most between two tables; `None` if they are none.
fn largest(before: &Path, after: &Path) -> Option<MetricDifference> {
    let difference = difference::difference(&Tidy::read(before).ok()?, &Tidy::read(after).ok()?)?;
    let size = |metric: &MetricDifference| {
        if is_near(metric, f64::INFINITY) { metric.largest } else { f64::INFINITY }
    };
    difference.metrics.into_iter().max_by(|a, b| size(a).total_cmp(&size(b)))
}

/// The same rows, and no number further than that.
fn is_near(metric: &MetricDifference, tolerance: f64) -> bool {
    let is_number = |value: f64| value.is_finite();
    let are_numbers = metric.changes.iter().all(|change| is_number(change.before) && is_number(change.after));
    metric.added + metric.removed == 0 && are_numbers && metric.largest <= tolerance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fsx;

    #[test]
    fn numbers_are_compared_where_there_are_some() {
        let folder = tempfile::tempdir().unwrap();
        let put = |text: &str| {
            let digest = Digest::of(text.as_bytes());
            fsx::write_atomic(&folder.path().join(digest.to_string()), text.as_bytes()).unwrap();
            BTreeMap::from([("x.csv".to_owned(), digest)])
        };
        let find =
            |digest: Digest| [folder.path().join(digest.to_string()), folder.path().join(digest.to_string())];
        let table = |value: &str| put(&format!("layer,metric,value\na,error,{value}\n"));
        let judged = |after: &BTreeMap<_, _>| compare(&table("0.5"), after, false, 0.01, &find).word();
        assert_eq!(judged(&table("0.5")), "identical");
        assert_eq!(judged(&table("0.505")), "near");
        assert_eq!(judged(&table("0.6")), "different");
        assert_eq!(judged(&table("NaN")), "different");
        assert_eq!(judged(&put("layer,metric,value\nb,error,0.5\n")), "different");
        assert_eq!(judged(&put("no table")), "different");
        assert_eq!(compare(&table("0.5"), &put("no table"), true, 0.01, &find).word(), "follows");
    }
}
