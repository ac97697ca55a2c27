//! `greedy`: sets of layers, each one layer more than the one before it: the one whose reset costs least then.
//!
//! The sets are resets, to be evaluated on any split. With the share of the parameters that each resets, ρ(S), they give the frontier of
//! the study's section 4: how much of a network can go back to where it began for an error ε(S). The best set of a size may be another:
//! a greedy choice is a lower bound of what can be reset.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::data::Split;
use crate::kinds::{DATASET, PATCHES, RUN, evaluate, parameters};
use crate::nn::layer_set::{Chosen, Selection};
use crate::nn::metric::Metric;
use crate::nn::reset::{Patches, Row, Source};
use crate::nn::run::{Run, RunError};
use crate::nn::unit::{self, Unit};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `greedy`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Greedy {
    /// Of which layers: names and patterns, of which `!` takes away; absent: all.
    #[serde(default, deserialize_with = "Chosen::read", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Chosen>")]
    layers: Option<Selection>,
    /// What these name: `layer`, a whole block being one; `part`; or `module`.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    unit: Unit,
    /// The epoch whose checkpoint they are re-initialized to: the initialisation, unless told otherwise.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    reinit: u32,
    /// On which examples a reset is judged. Those of the test split give sets that fit them a little.
    #[serde(default = "train", skip_serializing_if = "is_train")]
    split: Split,
    /// What is to stay low. Of equal ones, the first in chain order is taken.
    #[serde(default = "loss", skip_serializing_if = "is_loss")]
    metric: Metric,
    /// How large the sets grow; absent: all of the layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
}

fn train() -> Split {
    Split::Train
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_train(split: &Split) -> bool {
    *split == train()
}

fn loss() -> Metric {
    Metric::Loss
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_loss(metric: &Metric) -> bool {
    *metric == loss()
}

impl Stage for Greedy {
    const KIND: &'static str = "greedy";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "choose sets of layers, one more at a time, whose joint reset costs least";
    const SLOTS: &'static [Slot] = &[Slot::one("run", RUN), Slot::one("data", DATASET)];
    const OUTPUT: ArtifactType = PATCHES;
    const NUMERIC: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        if let Some(problem) = self.layers.as_ref().and_then(Selection::problem) {
            let hint = problem.hint().unwrap_or_default();
            return Err(ParameterError::new("layers", problem.to_string(), hint));
        }
        let none =
            ParameterError::new("size", "there is no set of 0 layers", "give 1 or more, or leave it out");
        if self.size == Some(0) { Err(none) } else { Ok(()) }
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let run = Run::open(&inputs.one("run").files).map_err(parameters::run_error)?;
        let (epoch, present) = (self.reinit, &run.description.checkpoints);
        if !present.contains(&epoch) {
            return Err(parameters::run_error(RunError::NoCheckpoint { epoch, present: present.clone() }));
        }
        let chain = unit::names(run.network(), self.unit);
        let layers = self.layers.as_ref().map_or(Ok(chain.clone()), |layers| layers.of(&chain));
        let layers = layers.map_err(parameters::reset_error)?;
        let patches =
            |rows: &[Row]| Patches::new(&run, 0, rows, &[Source::Reinit { epoch }], &BTreeSet::new());
        let (mut chosen, mut sets) = (BTreeSet::new(), Vec::new());
        while chosen.len() < self.size.unwrap_or(layers.len()).min(layers.len()) {
            let others: Vec<usize> = (0..layers.len()).filter(|place| !chosen.contains(place)).collect();
            let row = |place: &usize| set(&layers, chosen.iter().chain([place]));
            let rows: Vec<Row> = others.iter().map(row).collect();
            let costs = evaluate::measure(patches(&rows), self.metric, self.split, inputs, context)?;
            let (best, _) =
                costs.iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)).expect("layers are left");
            chosen.insert(others[best]);
            sets.push(rows[best].clone());
        }
        Ok(patches(&sets).write(context.out)?)
    }
}

/// Some layers, in chain order.
fn set<'a>(layers: &[LayerName], places: impl Iterator<Item = &'a usize>) -> Row {
    let places: BTreeSet<usize> = places.copied().collect();
    Row::of(places.into_iter().map(|place| layers[place].clone()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::evaluate::Evaluate;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::kinds::reset::Reset;
    use crate::kinds::testing;
    use crate::stage::{Artifact, Kind, ParseError};

    static KIND: Kind = Kind::of::<Greedy>();
    static RESET: Kind = Kind::of::<Reset>();
    static EVALUATE: Kind = Kind::of::<Evaluate>();

    /// Joint sets and what they cost, by another way: a reset that lists them, and its evaluation.
    fn costs(bench: &Bench, run: &Artifact, sets: &[Vec<&str>]) -> Vec<f64> {
        let patches =
            bench.stage("listed", &RESET, &json!({"layers": sets, "reinit": [0]}), &[("run", run)]).unwrap();
        let inputs = [("run", run), ("patches", &patches), ("data", &bench.dataset())];
        let probes = json!({"split": "train", "metrics": "loss"});
        let table = testing::read(&bench.stage("probed", &EVALUATE, &probes, &inputs).unwrap(), "probes.csv");
        table.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().1.parse().unwrap()).collect()
    }

    fn sets(bench: &Bench, run: &Artifact, parameters: &Value) -> Vec<String> {
        let inputs = [("run", run), ("data", &bench.dataset())];
        let output = bench.stage("greedy", &KIND, parameters, &inputs).unwrap();
        let patches = Patches::open(&output.files, &Run::open(&run.files).unwrap()).unwrap();
        patches.patches.into_iter().map(|patch| patch.layer).collect()
    }

    #[test]
    fn each_set_has_the_layer_more_that_costs_least() {
        let bench = Bench::new();
        let run = bench.run(0);
        let found = sets(&bench, &run, &json!({}));
        let names = ["layer1", "layer2", "layer3"];
        let singles = costs(&bench, &run, &names.map(|name| vec![name]));
        let least = |costs: &[f64]| (0..costs.len()).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap();
        let first = least(&singles);
        assert_eq!(found[0], names[first]);
        let mut pairs: Vec<Vec<&str>> =
            names.iter().filter(|name| **name != names[first]).map(|name| vec![names[first], name]).collect();
        for pair in &mut pairs {
            pair.sort_unstable();
        }
        assert_eq!(found[1], pairs[least(&costs(&bench, &run, &pairs))].join("+"));
        assert_eq!(found[2..], ["layer1+layer2+layer3"]);
        assert_eq!(sets(&bench, &run, &json!({"size": 2, "metric": "loss", "split": "train"})), found[..2]);
        assert_eq!(sets(&bench, &run, &json!({"layers": ["layer3"], "reinit": 3})), ["layer3"]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bench = Bench::new();
        let inputs = [("run", &bench.run(0)), ("data", &bench.dataset())];
        let (message, _) = complaint(bench.stage("none", &KIND, &json!({"reinit": 2}), &inputs));
        assert_eq!(message, "the run has no checkpoint of epoch 2, only of 0, 1, 3, 4, 12");
        for (parameters, path) in [(json!({"size": 0}), "size"), (json!({"layers": ["layer[1"]}), "layers")] {
            let Err(ParseError::Value(error)) = KIND.parse(&parameters) else { panic!("{parameters}") };
            assert_eq!(error.path, path);
        }
    }
}
