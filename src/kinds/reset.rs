//! `reset`: which layers of a run to reset to what. A list; no tensors.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::parameters::OneOrMore;
use crate::kinds::{PATCHES, RUN, parameters};
use crate::nn::layer_set::{self, Group};
use crate::nn::reset::{Kept, Patches, ResetError, Row, Source};
use crate::nn::run::{Run, RunError};
use crate::nn::source::Alpha;
use crate::nn::unit::{self, Unit};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `reset`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Which layers: `each`; or a list of names and patterns (a row for each layer), of lists of these (one row, reset jointly; `!` takes
    /// away), and of `prefixes`, `suffixes` and `pairs` of such a list.
    layers: Layers,
    /// What the list names: `layer`, a whole block being one; `part`, what a layer consists of; or `module`, each convolution, norm and dense
    /// map.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    unit: Unit,
    /// Whether to reset the complement of each joint set too.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    complement: bool,
    /// Checkpoints to re-initialize to.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    reinit: Reinit,
    /// Fresh draws.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    rerand: Option<Rerand>,
    /// Points on the straight line from a checkpoint to the final values.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    path: Option<Path>,
    /// Moves in random directions, each as long as the way that training went.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    matched: Option<Matched>,
    /// What is not overwritten in batch norms: `running` mean and variance, the `affine` γ and β. The study overwrites all.
    #[serde(
        default,
        deserialize_with = "parameters::any_number",
        skip_serializing_if = "parameters::is_default"
    )]
    #[schemars(with = "OneOrMore<Kept>")]
    keep: BTreeSet<Kept>,
    /// On how many batches of 128 training examples to count the running means and variances anew, behind each reset. The study does not.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    recalibrate: u32,
    /// Whether to reset all layers at once too: the learning curve.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    full_model: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected 'each', or a list of layers and of lists of layers")]
enum Layers {
    Word(Each),
    Groups(Vec<Group>),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Each {
    Each,
}

#[derive(PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected 'all', 'none' or a list of epochs")]
enum Reinit {
    Word(AllOrNone),
    Epochs(BTreeSet<u32>),
}

#[derive(PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AllOrNone {
    All,
    None,
}

impl Default for Reinit {
    fn default() -> Self {
        Self::Word(AllOrNone::None)
    }
}

#[derive(PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rerand {
    /// How many, of each row.
    draws: u32,
    /// Another seed gives other draws.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    seed: u64,
}

#[derive(PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Path {
    /// The checkpoint's epoch: the initialisation, unless told otherwise.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    from: u32,
    /// How far along: 0 is the checkpoint, 1 the final values.
    alphas: BTreeSet<Alpha>,
    /// Standard deviations of normal noise on every number, as module criticality asks for; absent: no noise.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    sigmas: BTreeSet<Alpha>,
    /// How many noises, of each point and deviation.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    draws: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

impl Path {
    /// Its points, noise by noise.
    fn sources(&self) -> Vec<Source> {
        let Self { from: epoch, draws, .. } = *self;
        let at = |alpha: Alpha| {
            if self.sigmas.is_empty() {
                return vec![Source::Path { epoch, alpha }];
            }
            let noise = move |sigma: &Alpha| {
                (0..draws).map({
                    let sigma = *sigma;
                    move |draw| Source::Noisy { epoch, alpha, sigma, draw }
                })
            };
            self.sigmas.iter().flat_map(noise).collect()
        };
        self.alphas.iter().flat_map(|alpha| at(*alpha)).collect()
    }
}

#[derive(PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Matched {
    /// How many directions, of each row.
    draws: u32,
}

impl Reset {
    /// What to reset to, in the order of a table's columns.
    fn sources(&self, run: &Run) -> Result<Vec<Source>, RunError> {
        let present = &run.description.checkpoints;
        let epochs: Vec<u32> = match &self.reinit {
            Reinit::Word(AllOrNone::None) => Vec::new(),
            Reinit::Word(AllOrNone::All) => present.clone(),
            Reinit::Epochs(epochs) => epochs.iter().copied().collect(),
        };
        let starts =
            self.path.as_ref().map(|path| path.from).into_iter().chain(self.matched.as_ref().map(|_| 0));
        if let Some(epoch) = epochs.iter().copied().chain(starts).find(|epoch| !present.contains(epoch)) {
            return Err(RunError::NoCheckpoint { epoch, present: present.clone() });
        }
        let draws = 0..self.rerand.as_ref().map_or(0, |rerand| rerand.draws);
        let draws = draws.map(|draw| Source::Rerand { draw });
        let epochs = epochs.into_iter().map(|epoch| Source::Reinit { epoch });
        let path = self.path.iter().flat_map(Path::sources);
        let matched = 0..self.matched.as_ref().map_or(0, |matched| matched.draws);
        let matched = matched.map(|draw| Source::Matched { draw });
        Ok(draws.chain(epochs).chain(path).chain(matched).collect())
    }
}

impl Stage for Reset {
    const KIND: &'static str = "reset";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "list which layers of a run to reset, and to what";
    const SLOTS: &'static [Slot] = &[Slot::one("run", RUN)];
    const OUTPUT: ArtifactType = PATCHES;
    const LOCAL: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        if let Layers::Groups(groups) = &self.layers
            && let Some(problem) = groups.iter().find_map(Group::problem)
        {
            let hint = problem.hint().unwrap_or_default();
            return Err(ParameterError::new("layers", problem.to_string(), hint));
        }
        let error = match self {
            Self { layers: Layers::Groups(groups), .. } if groups.is_empty() => {
                ("layers", "the list of layers is empty", "name a layer, or write 'each'")
            }
            Self { reinit: Reinit::Epochs(epochs), .. } if epochs.is_empty() => {
                ("reinit", "the list of epochs is empty", "name an epoch, or write 'all' or 'none'")
            }
            Self { rerand: Some(Rerand { draws: 0, .. }), .. } => {
                ("rerand.draws", "there are 0 draws", "ask for one at least, or leave 'rerand' out")
            }
            Self { matched: Some(Matched { draws: 0 }), .. } => {
                ("matched.draws", "there are 0 draws", "ask for one at least, or leave 'matched' out")
            }
            Self { path: Some(Path { alphas, .. }), .. } if alphas.is_empty() => {
                ("path.alphas", "the list of points is empty", "name one from 0 to 1, or leave 'path' out")
            }
            Self { path: Some(Path { draws: 0, .. }), .. } => {
                ("path.draws", "there are 0 draws", "ask for one at least, or leave 'sigmas' out")
            }
            Self { path: Some(Path { sigmas, draws: 2.., .. }), .. } if sigmas.is_empty() => {
                ("path.draws", "there is no noise to draw", "give 'sigmas', or leave 'draws' out")
            }
            Self { reinit, rerand: None, path: None, matched: None, .. }
                if parameters::is_default(reinit) =>
            {
                ("", "there is nothing to reset to", "give 'reinit', 'rerand', 'path' or 'matched'")
            }
            _ => return Ok(()),
        };
        Err(ParameterError::new(error.0, error.1, error.2))
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let run = Run::open(&inputs.one("run").files).map_err(parameters::run_error)?;
        let chain = unit::names(run.network(), self.unit);
        let groups = match &self.layers {
            Layers::Word(Each::Each) => &vec![Group::Each("*".to_owned())],
            Layers::Groups(groups) => groups,
        };
        let mut rows = layer_set::rows(&chain, groups, self.complement).map_err(parameters::reset_error)?;
        if self.full_model {
            rows.push(Row::full_model(&unit::names(run.network(), Unit::Layer)));
        }
        let sources = self.sources(&run).map_err(parameters::run_error)?;
        let seed = self.rerand.as_ref().map_or(0, |rerand| rerand.seed);
        let has_statistics = run.network().tensors().any(|(name, _)| name.contains(".running_"));
        if self.recalibrate > 0 && !has_statistics {
            return Err(parameters::reset_error(ResetError::NoStatistics));
        }
        let mut patches = Patches::new(&run, seed, &rows, &sources, &self.keep);
        patches.recalibrate = self.recalibrate;
        Ok(patches.write(context.out)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::stage::{Kind, ParseError};

    static KIND: Kind = Kind::of::<Reset>();

    /// `layer source epoch-or-draw` of each patch.
    fn list(parameters: &Value) -> Vec<String> {
        let bench = Bench::new();
        let run = bench.run(0);
        let output = bench.stage("out", &KIND, parameters, &[("run", &run)]).unwrap();
        let patches = Patches::open(&output.files, &Run::open(&run.files).unwrap()).unwrap();
        let line =
            |patch: &crate::nn::reset::Patch| format!("{} {}", patch.layer, patch.source.columns().concat());
        patches.patches.iter().map(line).collect()
    }

    #[test]
    fn each_layer_draws_first_then_epochs() {
        let parameters =
            json!({"layers": "each", "reinit": [12, 0], "rerand": {"draws": 2}, "full_model": true});
        let sources = ["rerand0", "rerand1", "reinit0", "reinit12"];
        let rows = ["layer1", "layer2", "layer3", "fullmodel"];
        let expected: Vec<_> =
            rows.iter().flat_map(|row| sources.map(|source| format!("{row} {source}"))).collect();
        assert_eq!(list(&parameters), expected);
    }

    #[test]
    fn all_is_every_checkpoint_of_the_run() {
        let parameters = json!({"layers": [["layer3", "layer2"]], "complement": true, "reinit": "all"});
        let epochs = [0, 1, 3, 4, 12];
        let expected: Vec<_> = ["layer2+layer3", "layer1"]
            .iter()
            .flat_map(|row| epochs.map(|epoch| format!("{row} reinit{epoch}")))
            .collect();
        assert_eq!(list(&parameters), expected);
    }

    #[test]
    fn a_path_with_noise_has_each_deviation_in_each_draw() {
        let path = json!({"alphas": [0, 0.5], "sigmas": [0.1, 0.01], "draws": 2});
        let lines = list(&json!({"layers": ["layer1"], "path": path}));
        assert_eq!(lines, ["layer1 path00", "layer1 path01"].repeat(4));
    }

    #[test]
    fn what_is_not_in_the_run_is_named() {
        let bench = Bench::new();
        let run = bench.run(0);
        let fails = |parameters| complaint(bench.stage("out", &KIND, &parameters, &[("run", &run)]));
        let (message, hint) = fails(json!({"layers": ["layer4"], "reinit": "all"}));
        assert_eq!(message, "the network has no layer 'layer4'");
        assert!(hint.starts_with("did you mean 'layer"), "{hint}");
        let (message, _) = fails(json!({"layers": "each", "reinit": [0, 2]}));
        assert_eq!(message, "the run has no checkpoint of epoch 2, only of 0, 1, 3, 4, 12");
        let (from_2, _) = fails(json!({"layers": "each", "path": {"from": 2, "alphas": [0.5]}}));
        assert_eq!(from_2, message);
    }

    #[test]
    fn senseless_parameters_are_refused() {
        for (parameters, path) in [
            (json!({"layers": "each"}), ""),
            (json!({"layers": "each", "reinit": "none"}), ""),
            (json!({"layers": "each", "reinit": []}), "reinit"),
            (json!({"layers": "each", "rerand": {"draws": 0}}), "rerand.draws"),
            (json!({"layers": "each", "matched": {"draws": 0}}), "matched.draws"),
            (json!({"layers": "each", "path": {"alphas": []}}), "path.alphas"),
            (json!({"layers": "each", "path": {"alphas": [1], "sigmas": [1], "draws": 0}}), "path.draws"),
            (json!({"layers": "each", "path": {"alphas": [1], "draws": 2}}), "path.draws"),
            (json!({"layers": [], "reinit": "all"}), "layers"),
            (json!({"layers": ["layer1", []], "reinit": "all"}), "layers"),
        ] {
            let Err(ParseError::Value(error)) = KIND.parse(&parameters) else { panic!("{parameters}") };
            assert_eq!(error.path, path, "{parameters}");
        }
        for (parameters, path, message) in [
            (json!({"layers": "every", "reinit": "all"}), "layers", "expected 'each', or a list of layers"),
            (
                json!({"layers": "each", "reinit": "some"}),
                "reinit",
                "expected 'all', 'none' or a list of epochs",
            ),
            (
                json!({"layers": "each", "path": {"alphas": [1.5]}}),
                "path.alphas[0]",
                "1.5 is no number from 0 to 1 with three decimals at most",
            ),
        ] {
            let Err(ParseError::Shape { path: found, message: said }) = KIND.parse(&parameters) else {
                panic!()
            };
            assert_eq!(found, path);
            assert!(said.starts_with(message), "{said}");
        }
    }

    #[test]
    fn defaults_and_spelling_leave_the_key_alone() {
        let canonical = |parameters| KIND.parse(&parameters).unwrap().parameters();
        let short = canonical(json!({"layers": "each", "rerand": {"draws": 1}}));
        assert_eq!(short, json!({"layers": "each", "rerand": {"draws": 1}}));
        let long = json!({"layers": "each", "complement": false, "reinit": "none",
            "rerand": {"draws": 1, "seed": 0}, "full_model": false});
        assert_eq!(canonical(long), short);
        let epochs = canonical(json!({"layers": ["layer1"], "reinit": [3, 1, 3]}));
        assert_eq!(epochs, json!({"layers": ["layer1"], "reinit": [1, 3]}));
    }
}
