//! The difference of two locks, and of what went into two keys. Pure: what only the store knows is handed in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::base::digest::Digest;
use crate::engine::lock::{Entry, Lock};
use crate::stage::KeyFields;

/// What distinguishes two locks; stages that are equal are only counted.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Stages that are in both and equal.
    pub equal: usize,
    /// Stages that only the second has.
    pub added: Vec<(String, Entry)>,
    /// Stages that only the first has.
    pub removed: Vec<(String, Entry)>,
    /// Stages that are in both with another key or other bytes.
    pub changed: Vec<Changed>,
    /// Published files that are not the same in both.
    pub published: Vec<File>,
}

/// A stage that is in both locks, and not the same.
#[derive(Debug, PartialEq, Serialize)]
pub struct Changed {
    /// The node, as in `fit[seed=0]`.
    pub stage: String,
    /// In the first lock.
    pub before: Entry,
    /// In the second.
    pub after: Entry,
    /// The outputs that differ; empty if one side has none yet.
    pub outputs: Vec<File>,
}

/// A file that is not the same on both sides.
#[derive(Debug, PartialEq, Serialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its digest in the first, if it is there.
    pub before: Option<Digest>,
    /// Its digest in the second, if it is there.
    pub after: Option<Digest>,
}

/// An ingredient of two keys that is not the same.
#[derive(Debug, PartialEq, Serialize)]
pub struct Ingredient {
    /// What it is, as in `train.optimizer.sgd.lr` or `needs.run`.
    pub path: String,
    /// Its value before; `null` if there was none.
    pub before: Value,
    /// Its value after; `null` if there is none.
    pub after: Value,
}

impl Difference {
    /// Compares two locks. An entry without outputs stands for a stage that has not run.
    pub fn new(before: &Lock, after: &Lock) -> Self {
        let mut difference =
            Self { published: files(&before.published, &after.published), ..Self::default() };
        for (stage, entry) in &before.stages {
            let Some(other) = after.stages.get(stage) else {
                difference.removed.push((stage.clone(), entry.clone()));
                continue;
            };
            let is_known = !entry.outputs.is_empty() && !other.outputs.is_empty();
            let outputs = if is_known { files(&entry.outputs, &other.outputs) } else { Vec::new() };
            if entry.key == other.key && outputs.is_empty() {
                difference.equal += 1;
            } else {
                let (before, after) = (entry.clone(), other.clone());
                difference.changed.push(Changed { stage: stage.clone(), before, after, outputs });
            }
        }
        let is_new = |(stage, _): &(&String, &Entry)| !before.stages.contains_key(*stage);
        let added = after.stages.iter().filter(is_new);
        difference.added = added.map(|(stage, entry)| (stage.clone(), entry.clone())).collect();
        difference
    }

    /// Whether the two are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.published.is_empty()
    }
}

fn files(before: &BTreeMap<String, Digest>, after: &BTreeMap<String, Digest>) -> Vec<File> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let file = |name: &String| File {
        name: name.clone(),
        before: before.get(name).copied(),
        after: after.get(name).copied(),
    };
    names.into_iter().map(file).filter(|file| file.before != file.after).collect()
}

/// The ingredients of two keys that differ: parameters first, inputs last.
pub fn ingredients(before: &KeyFields, after: &KeyFields) -> Vec<Ingredient> {
    let (before, after) = (flat(before), flat(after));
    let mut paths: Vec<&String> = before.iter().chain(&after).map(|(path, _)| path).collect();
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(*path));
    paths.sort_by_key(|path| path.starts_with("needs."));
    let value = |side: &[(String, Value)], path: &str| {
        side.iter().find(|(own, _)| own == path).map_or(Value::Null, |(_, value)| value.clone())
    };
    let ingredient = |path: &String| Ingredient {
        path: path.clone(),
        before: value(&before, path),
        after: value(&after, path),
    };
    paths.into_iter().map(ingredient).filter(|ingredient| ingredient.before != ingredient.after).collect()
}

/// Every ingredient under a path of its own.
fn flat(fields: &KeyFields) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    flatten(&fields.kind, &fields.parameters, &mut all);
    all.push(("kind".to_owned(), fields.kind.clone().into()));
    all.push((format!("version of kind {}", fields.kind), fields.version.into()));
    all.push(("numerics".to_owned(), fields.numerics.clone().into()));
    for source in &fields.sources {
        all.push((format!("file {}", source.path), source.digest.to_string().into()));
    }
    for (i, input) in fields.inputs.iter().enumerate() {
        // Several stages may fill one slot at the same coordinates: they are told apart by their order.
        let turn = fields.inputs[..i]
            .iter()
            .filter(|o| (&o.slot, &o.coordinates) == (&input.slot, &input.coordinates));
        let turn = match turn.count() {
            0 => String::new(),
            turn => format!(" ({})", turn + 1),
        };
        let at =
            if input.coordinates.is_empty() { String::new() } else { format!("[{}]", input.coordinates) };
        all.push((format!("needs.{}{at}{turn}", input.slot), input.key.to_string().into()));
    }
    all
}

/// Members of mappings one by one; a list of scalars is a value.
fn flatten(path: &str, value: &Value, all: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                flatten(&format!("{path}.{name}"), member, all);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (i, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{i}]"), item, all);
            }
        }
        value => all.push((path.to_owned(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stage::StageKey;

    fn key(text: &str) -> StageKey {
        StageKey::parse(&Digest::of(text.as_bytes()).to_string()).unwrap()
    }

    fn lock(stages: &[(&str, &str, &[&str])]) -> Lock {
        let entry = |(stage, name, files): &(&str, &str, &[&str])| {
            let outputs = files.iter().map(|f| ("x.csv".to_owned(), Digest::of(f.as_bytes()))).collect();
            ((*stage).to_owned(), Entry { kind: "train".to_owned(), key: key(name), outputs })
        };
        let stages = stages.iter().map(entry).collect();
        Lock { format: 1, pipeline: "p".to_owned(), stages, published: BTreeMap::new() }
    }

    #[test]
    fn every_stage_is_counted_once() {
        let before = lock(&[
            ("same", "k", &["1"]),
            ("gone", "k", &["1"]),
            ("other", "k", &["1"]),
            ("moved", "k", &["1"]),
            ("todo", "k", &["1"]),
        ]);
        let after = lock(&[
            ("same", "k", &["1"]),
            ("new", "k", &["1"]),
            ("other", "k", &["2"]),
            ("moved", "l", &["1"]),
            ("todo", "l", &[]),
        ]);
        let difference = Difference::new(&before, &after);
        let names = |list: &[(String, Entry)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&difference.added), names(&difference.removed)),
            (vec!["new".into()], vec!["gone".into()])
        );
        let changed: Vec<_> =
            difference.changed.iter().map(|c| (c.stage.as_str(), c.outputs.len())).collect();
        assert_eq!((changed, difference.equal), (vec![("moved", 0), ("other", 1), ("todo", 0)], 1));
        assert!(!difference.is_empty() && Difference::new(&before, &before).is_empty());
    }

    #[test]
    fn parameters_are_named_by_their_path() {
        let fields = |parameters, input: &str| KeyFields {
            kind: "train".to_owned(),
            version: 1,
            numerics: None,
            parameters,
            sources: Vec::new(),
            inputs: vec![crate::stage::key::InputKey {
                slot: "data".into(),
                coordinates: String::new(),
                key: key(input),
            }],
        };
        let before =
            fields(json!({ "optimizer": { "sgd": { "lr": 0.01 } }, "at": [1, 2], "epochs": 3 }), "a");
        let after = fields(
            json!({ "optimizer": { "sgd": { "lr": 0.02, "momentum": 0.9 } }, "at": [1], "epochs": 3 }),
            "b",
        );
        let told: Vec<_> =
            ingredients(&before, &after).into_iter().map(|i| (i.path, i.before, i.after)).collect();
        assert_eq!(
            told,
            [
                ("train.at".into(), json!([1, 2]), json!([1])),
                ("train.optimizer.sgd.lr".into(), json!(0.01), json!(0.02)),
                ("train.optimizer.sgd.momentum".into(), Value::Null, json!(0.9)),
                ("needs.data".to_owned(), key("a").to_string().into(), key("b").to_string().into()),
            ]
            .map(|(path, a, b): (String, _, _)| (path, a, b))
        );
        assert_eq!(ingredients(&before, &before), []);
    }
}
