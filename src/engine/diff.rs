//! The difference of two locks. Pure: what only the store knows is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::digest::Digest;
use crate::engine::lock::{Entry, Lock};

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

    /// The names of all that is not the same.
    pub fn names(&self) -> Vec<String> {
        let lists = [&self.added, &self.removed];
        let stages = lists.into_iter().flatten().map(|(stage, _)| stage);
        let changed = self.changed.iter().map(|changed| &changed.stage);
        stages.chain(changed).chain(self.published.iter().map(|file| &file.name)).cloned().collect()
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

#[cfg(test)]
mod tests {
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
}
