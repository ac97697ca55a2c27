//! What is new about a node whose key has no record: the difference to the nearest execution that has one, in the words of the
//! pipeline file.
//!
//! The nearest is the one that the lock names for the node, else that which differs in the fewest places among the latest of the
//! same stage of the pipeline; of equals the first by name, as stages that run side by side have no order in time. Both sides are
//! [`KeyFields`], the very value that was hashed, so an explanation cannot say other than what the key says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;
use serde_json::Value;

use crate::engine::lock::Lock;
use crate::pipeline::KeyedNode;
use crate::stage::{KeyFields, StageKey};
use crate::store::{Record, Store, StoreError};

/// Executions of a stage that are compared with when the lock names none: the latest.
const CANDIDATES: usize = 16;

/// One ingredient of a key that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A parameter: its path from the kind on, and its values; `None` where it is not given.
    Parameter {
        /// As in `train.optimizer.sgd.lr`.
        path: String,
        /// What it was.
        old: Option<Value>,
        /// What it is.
        new: Option<Value>,
    },
    /// The kind of work is done in another way now.
    Version {
        /// The kind.
        kind: String,
        /// What it was.
        old: u32,
        /// What it is.
        new: u32,
    },
    /// The machine computes with other kernels.
    Numerics {
        /// What it was.
        old: Option<String>,
        /// What it is.
        new: Option<String>,
    },
    /// A declared file of the project has other content.
    Source {
        /// Relative to the project.
        path: String,
        /// `changed`, `added` or `removed`.
        how: &'static str,
    },
    /// An input is of another execution.
    Input {
        /// The slot.
        slot: String,
        /// How many artifacts it had.
        old: usize,
        /// How many it has.
        new: usize,
        /// How many of these it had not.
        changed: usize,
    },
}

/// How a node differs from the nearest execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The nearest execution.
    pub nearest: StageKey,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What differs.
    pub changes: Vec<Change>,
}

/// Explains nodes one by one, and remembers the records that it read.
pub struct Explainer<'a> {
    store: &'a Store,
    lock: Option<&'a Lock>,
    pipeline: &'a str,
    of_stage: RefCell<BTreeMap<String, Rc<Vec<Record>>>>,
}

impl<'a> Explainer<'a> {
    /// Compares with what is in the store, above all with what the lock names.
    pub fn new(pipeline: &'a str, store: &'a Store, lock: Option<&'a Lock>) -> Self {
        Self { store, lock, pipeline, of_stage: RefCell::default() }
    }

    /// The difference to the nearest execution; `None` if there is none of this stage.
    pub fn difference(&self, node: &KeyedNode) -> Result<Option<Difference>, StoreError> {
        let locked = self.lock.and_then(|lock| lock.stages.get(&node.node.to_string()));
        if let Some(entry) = locked.filter(|entry| entry.key != node.key)
            && let Some(record) = self.store.record(entry.key)?
            && record.fields.kind == node.fields.kind
        {
            return Ok(Some(Difference::between(&record, &node.fields)));
        }
        let records = self.of_stage(node.node.stage.as_str())?;
        let is_comparable =
            |record: &&Record| record.key != node.key && record.fields.kind == node.fields.kind;
        let others = records.iter().filter(is_comparable);
        let differences = others.map(|record| Difference::between(record, &node.fields));
        Ok(differences.min_by_key(|difference| difference.changes.len()))
    }

    /// The latest records of a stage, whatever its coordinates, by name.
    fn of_stage(&self, stage: &str) -> Result<Rc<Vec<Record>>, StoreError> {
        if let Some(records) = self.of_stage.borrow().get(stage) {
            return Ok(Rc::clone(records));
        }
        let mut summaries = self.store.summaries();
        let name = format!("{}/{stage}", self.pipeline);
        let is_of_it = |summary: &str| {
            summary.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        summaries.retain(|summary| is_of_it(&summary.stage));
        summaries.sort_by_key(|summary| std::cmp::Reverse(summary.started));
        summaries.truncate(CANDIDATES);
        summaries.sort_by(|a, b| a.stage.cmp(&b.stage));
        let mut records = Vec::new();
        for summary in &summaries {
            records.extend(self.store.record(summary.key)?);
        }
        let records = Rc::new(records);
        self.of_stage.borrow_mut().insert(stage.to_owned(), Rc::clone(&records));
        Ok(records)
    }
}

impl Difference {
    fn between(record: &Record, new: &KeyFields) -> Self {
        let changes = changes(&record.fields, new);
        Self { nearest: record.key, seconds: record.provenance.seconds, changes }
    }
}

/// What differs between two keys of the same kind, in the order: version, numerics, parameters, files, inputs.
pub fn changes(old: &KeyFields, new: &KeyFields) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.version != new.version {
        changes.push(Change::Version { kind: new.kind.clone(), old: old.version, new: new.version });
    }
    if old.numerics != new.numerics {
        changes.push(Change::Numerics { old: old.numerics.clone(), new: new.numerics.clone() });
    }
    compare(&new.kind, Some(&old.parameters), Some(&new.parameters), &mut changes);
    compare_sources(old, new, &mut changes);
    compare_inputs(old, new, &mut changes);
    changes
}

/// Walks down two values as far as they have the same shape.
fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for name in names {
                compare(&format!("{path}.{name}"), old.get(name), new.get(name), changes);
            }
        }
        _ => changes.push(Change::Parameter { path: path.to_owned(), old: old.cloned(), new: new.cloned() }),
    }
}

fn compare_sources(old: &KeyFields, new: &KeyFields, changes: &mut Vec<Change>) {
    let by_path = |fields: &KeyFields| -> BTreeMap<String, _> {
        fields.sources.iter().map(|source| (source.path.clone(), source.digest)).collect()
    };
    let (old, new) = (by_path(old), by_path(new));
    for path in old.keys().chain(new.keys().filter(|path| !old.contains_key(*path))) {
        let how = match (old.get(path), new.get(path)) {
            (Some(a), Some(b)) if a == b => continue,
            (Some(_), Some(_)) => "changed",
            (None, _) => "added",
            (_, None) => "removed",
        };
        changes.push(Change::Source { path: path.clone(), how });
    }
}

fn compare_inputs(old: &KeyFields, new: &KeyFields, changes: &mut Vec<Change>) {
    let slots: std::collections::BTreeSet<_> =
        old.inputs.iter().chain(&new.inputs).map(|input| &input.slot).collect();
    for slot in slots {
        let of = |fields: &KeyFields| -> Vec<_> {
            fields.inputs.iter().filter(|input| input.slot == *slot).cloned().collect()
        };
        let (before, now) = (of(old), of(new));
        if before != now {
            let changed = now.iter().filter(|input| before.binary_search(input).is_err()).count();
            changes.push(Change::Input { slot: slot.clone(), old: before.len(), new: now.len(), changed });
        }
    }
}

impl Change {
    /// What differs, and how.
    pub fn parts(&self) -> (String, String) {
        match self {
            Self::Parameter { path, old: Some(old), new: Some(new) } => {
                (path.clone(), format!("{} → {}", shown(old), shown(new)))
            }
            Self::Parameter { path, old: None, new } => {
                (path.clone(), format!("{} added", shown(new.as_ref().unwrap_or(&Value::Null))))
            }
            Self::Parameter { path, old: Some(old), new: None } => {
                (path.clone(), format!("{} removed", shown(old)))
            }
            Self::Version { kind, old, new } => {
                (format!("kind {kind}"), format!("is version {new}, was {old}"))
            }
            Self::Numerics { old, new } => {
                let word = |numerics: &Option<String>| numerics.clone().unwrap_or_else(|| "none".to_owned());
                ("numerics".to_owned(), format!("{} → {}", word(old), word(new)))
            }
            Self::Source { path, how } => (format!("file {path}"), (*how).to_owned()),
            Self::Input { slot, old, new, changed } => {
                let how = match (old, new, changed) {
                    (1, 1, _) => "changed".to_owned(),
                    (old, new, changed) if old == new => format!("{changed} of {new} changed"),
                    (old, new, changed) => format!("{old} → {new} artifacts, {changed} of them other"),
                };
                (format!("input {slot}"), how)
            }
        }
    }

    /// Whether the node differs only because what it needs does.
    pub fn is_inherited(&self) -> bool {
        matches!(self, Self::Input { old, new, .. } if old == new)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, how) = self.parts();
        write!(f, "{what} {how}")
    }
}

/// A value in one line, cut where it is long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST - 1).collect::<String>() + "…"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::digest::Digest;
    use crate::stage::key::{InputKey, Source};

    fn fields(parameters: Value) -> KeyFields {
        let (kind, numerics) = ("train".to_owned(), Some("cpu-1".to_owned()));
        KeyFields { kind, version: 1, numerics, parameters, sources: Vec::new(), inputs: Vec::new() }
    }

    fn told(old: &KeyFields, new: &KeyFields) -> Vec<String> {
        changes(old, new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_ingredient_has_its_sentence() {
        let mut old = fields(json!({"optimizer": {"sgd": {"lr": 0.01}}, "epochs": 3, "batch": 8}));
        let mut new = fields(json!({"optimizer": {"sgd": {"lr": 0.02}}, "epochs": 3, "at": [1, 2]}));
        assert!(told(&old, &old).is_empty());
        (new.version, new.numerics) = (2, Some("cpu-2".to_owned()));
        let source =
            |path: &str, text: &str| Source { path: path.into(), digest: Digest::of(text.as_bytes()) };
        old.sources = vec![source("a", "1"), source("b", "1"), source("c", "1")];
        new.sources = vec![source("a", "1"), source("b", "2"), source("d", "1")];
        let input = |slot: &str, coordinates: &str, of: &KeyFields| InputKey {
            slot: slot.into(),
            coordinates: coordinates.into(),
            key: of.key(),
        };
        old.inputs = vec![input("data", "", &fields(json!(1))), input("runs", "seed=0", &fields(json!(1)))];
        new.inputs = vec![
            input("data", "", &fields(json!(2))),
            input("runs", "seed=0", &fields(json!(1))),
            input("runs", "seed=1", &fields(json!(1))),
        ];
        assert_eq!(
            told(&old, &new),
            [
                "kind train is version 2, was 1",
                "numerics cpu-1 → cpu-2",
                "train.at [1,2] added",
                "train.batch 8 removed",
                "train.optimizer.sgd.lr 0.01 → 0.02",
                "file b changed",
                "file c removed",
                "file d added",
                "input data changed",
                "input runs 1 → 2 artifacts, 1 of them other",
            ]
        );
        assert_eq!(told(&new, &old).last().unwrap(), "input runs 2 → 1 artifacts, 0 of them other");
    }
}
