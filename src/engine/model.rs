//! The engine beside a naive model of it, over random graphs and random edits: what ran is exactly what had to.
//!
//! The model remembers which keys were done and which bytes are there. A stage must run if its key was not done or its bytes are
//! gone, unless it is not wanted, or some stage with the same parameters read the same bytes before.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use tempfile::TempDir;

use super::toys::{keyed, run_wish};
use super::*;
use crate::base::digest::Digest;
use crate::base::fsx;
use crate::store::Store;

const STAGES: usize = 8;

/// A pipeline of sums: each of those that are there takes some of those before it.
#[derive(Debug, Clone)]
struct Graph([Sum; STAGES]);

#[derive(Debug, Clone)]
struct Sum {
    is_there: bool,
    add: u32,
    salt: u32,
    of: [bool; STAGES],
}

#[derive(Debug, Clone)]
enum Edit {
    /// Changes the key, and often the bytes.
    Add(usize, u32),
    /// Changes the key, never the bytes.
    Salt(usize, u32),
    /// Removes a stage, or puts it back.
    Toggle(usize),
    /// Connects two stages, or separates them.
    Connect(usize, usize),
    /// Deletes the object of a stage.
    Lose(usize),
    /// Overwrites the object of a stage.
    Damage(usize),
    /// Changes nothing, but wants a stage done again.
    Force(usize),
    /// Changes nothing, but wants only one stage.
    Target(usize),
}

fn graph() -> impl Strategy<Value = Graph> {
    let of = prop::array::uniform8(prop::bool::weighted(0.4));
    let sum = (prop::bool::weighted(0.85), 0..3_u32, of);
    let sum = sum.prop_map(|(is_there, add, of)| Sum { is_there, add, salt: 0, of });
    prop::array::uniform8(sum).prop_map(Graph)
}

fn edit() -> impl Strategy<Value = Edit> {
    let stage = || 0..STAGES;
    prop_oneof![
        (stage(), 0..6_u32).prop_map(|(stage, add)| Edit::Add(stage, add)),
        (stage(), 0..3_u32).prop_map(|(stage, salt)| Edit::Salt(stage, salt)),
        stage().prop_map(Edit::Toggle),
        (stage(), stage()).prop_map(|(a, b)| Edit::Connect(a, b)),
        stage().prop_map(Edit::Lose),
        stage().prop_map(Edit::Damage),
        stage().prop_map(Edit::Force),
        stage().prop_map(Edit::Target),
    ]
}

impl Graph {
    fn present(&self) -> impl DoubleEndedIterator<Item = usize> {
        (0..STAGES).filter(|stage| self.0[*stage].is_there)
    }

    fn inputs(&self, stage: usize) -> Vec<usize> {
        (0..stage).filter(|input| self.0[stage].of[*input] && self.0[*input].is_there).collect()
    }

    fn text(&self) -> String {
        let mut text = "pipeline: toy\nstages:\n".to_owned();
        for stage in self.present() {
            let Sum { add, salt, .. } = &self.0[stage];
            let of: Vec<_> = self.inputs(stage).iter().map(|input| format!("s{input}")).collect();
            let needs =
                if of.is_empty() { String::new() } else { format!("needs: {{ of: [{}] }}, ", of.join(", ")) };
            writeln!(text, "  s{stage}: {{ {needs}sum: {{ id: {stage}, add: {add}, salt: {salt} }} }}")
                .unwrap();
        }
        text
    }

    /// What a stage is, with all that it is made from.
    fn key(&self, stage: usize) -> String {
        let Sum { add, salt, .. } = &self.0[stage];
        let inputs: Vec<_> = self.inputs(stage).into_iter().map(|input| self.key(input)).collect();
        format!("{stage} {add} {salt} {inputs:?}")
    }

    /// What a stage writes.
    fn output(&self, stage: usize) -> String {
        let value = |input| self.output(input).rsplit(' ').next().unwrap().parse::<u32>().unwrap();
        let sum: u32 = self.inputs(stage).into_iter().map(value).sum();
        format!("{stage} {}", (self.0[stage].add + sum) % 3)
    }

    /// What a stage reads.
    fn content(&self, stage: usize) -> String {
        let Sum { add, salt, .. } = &self.0[stage];
        let inputs: BTreeSet<_> = self.inputs(stage).into_iter().map(|input| self.output(input)).collect();
        format!("{stage} {add} {salt} {inputs:?}")
    }
}

#[derive(Default)]
struct Model {
    done: BTreeSet<String>,
    read: BTreeSet<String>,
    objects: BTreeSet<String>,
}

impl Model {
    /// The stages that must run, in order; afterwards they have.
    fn run(&mut self, graph: &Graph, target: Option<usize>, forced: Option<usize>) -> Vec<usize> {
        let is_done = |model: &Self, stage| {
            model.done.contains(&graph.key(stage)) && model.objects.contains(&graph.output(stage))
        };
        let mut wanted: BTreeSet<usize> =
            graph.present().filter(|s| target.is_none_or(|t| t == *s)).collect();
        for stage in graph.present().rev() {
            if wanted.contains(&stage) && (!is_done(self, stage) || forced == Some(stage)) {
                wanted.extend(graph.inputs(stage));
            }
        }
        let mut ran = Vec::new();
        for stage in wanted {
            let (output, content) = (graph.output(stage), graph.content(stage));
            let has_read = self.read.contains(&content) && self.objects.contains(&output);
            if forced == Some(stage) || !is_done(self, stage) && !has_read {
                ran.push(stage);
            }
            self.done.insert(graph.key(stage));
            self.read.insert(content);
            self.objects.insert(output);
        }
        ran
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_ran_is_what_had_to(graph in graph(), edits in prop::collection::vec(edit(), 1..10), jobs in 1_usize..4) {
        let (folder, mut graph, mut model) = (TempDir::new().unwrap(), graph, Model::default());
        graph.0[0].is_there = true;
        // The first run, then one after each edit.
        for edit in std::iter::once(Edit::Salt(0, 0)).chain(edits) {
            let (mut target, mut forced) = (None, None);
            match edit {
                Edit::Add(stage, add) => graph.0[stage].add = add,
                Edit::Salt(stage, salt) => graph.0[stage].salt = salt,
                Edit::Toggle(stage) => graph.0[stage].is_there ^= stage > 0,
                Edit::Connect(stage, input) => graph.0[stage].of[input] ^= true,
                Edit::Lose(stage) | Edit::Damage(stage) => {
                    let store = Store::open(&folder.path().join("store")).unwrap();
                    let path = store.object_path(Digest::of(graph.output(stage).as_bytes()));
                    if model.objects.remove(&graph.output(stage)) {
                        fsx::remove_file(&path).unwrap();
                        if matches!(edit, Edit::Damage(_)) {
                            fsx::write_atomic(&path, b"not it").unwrap();
                        }
                    }
                }
                Edit::Force(stage) => forced = Some(stage).filter(|stage| graph.0[*stage].is_there),
                Edit::Target(stage) => target = Some(stage).filter(|stage| graph.0[*stage].is_there),
            }
            let name = |stage: Option<usize>| stage.map(|stage| format!("s{stage}")).into_iter().collect();
            let wish = Wish { targets: name(target), force: name(forced) };
            let text = graph.text();
            let keyed = keyed(&text, &[]);
            let (log, outcomes) = run_wish(folder.path(), &keyed, &wish, jobs);
            let ran: BTreeSet<usize> = log.lines().filter_map(|line| line.strip_prefix("noted s"))
                .map(|rest| rest.split(':').next().unwrap().parse().unwrap()).collect();
            let had_to: BTreeSet<usize> = model.run(&graph, target, forced).into_iter().collect();
            prop_assert_eq!(ran, had_to, "{}\n{}", text, log);
            let store = Store::open(&folder.path().join("store")).unwrap();
            for (node, outcome) in keyed.nodes.iter().zip(&outcomes) {
                let Some(outcome) = outcome else { continue };
                let files = store.files(&outcome.summary().unwrap().outputs);
                let stage: usize = node.node.stage.as_str()[1..].parse().unwrap();
                let text = fsx::read_to_string(files.path("text.txt").unwrap()).unwrap();
                prop_assert_eq!(text, graph.output(stage));
            }
        }
    }
}
