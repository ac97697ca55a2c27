//! `train`: a network from its initialisation to its last epoch, with checkpoints.
//!
//! This file is what is asked for; `chain` says which states there are on the way and which of them stay in the store, `walk`
//! goes from the ones that are there to those that are asked for.

mod chain;
mod walk;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::canonical;
use crate::base::digest::{Digest, Fields};
use crate::base::fsx;
use crate::data::catalogue::Dataset;
use crate::data::{self, Augment, Examples, Split, examples};
use crate::kinds::train::chain::Chain;
use crate::kinds::train::walk::{Vary, Walk};
use crate::kinds::{DATASET, RUN, parameters};
use crate::nn::examples::Labelled;
use crate::nn::kernels;
use crate::nn::layer_set::{Chosen, Selection};
use crate::nn::network::Network;
use crate::nn::optimizer::Optimizer;
use crate::nn::problem::Problem;
use crate::nn::run::{self, Description};
use crate::nn::schedule::Schedule;
use crate::nn::state;
use crate::nn::train::Settings;
use crate::nn::zoo::Arch;
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `train`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Architecture.
    model: Arch,
    /// Passes over the training split.
    epochs: u32,
    /// Examples per step.
    batch: usize,
    /// Seed of the initialisation, of the order of examples, and of their variation.
    seed: u64,
    /// How the training images are varied, anew in each epoch; absent: not at all.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    augment: Option<Augment>,
    /// Layers that stay as they were initialised: names and patterns, of which `!` takes away; absent: none.
    #[serde(default, deserialize_with = "Chosen::read", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Chosen>")]
    freeze: Option<Selection>,
    /// How gradients become steps.
    optimizer: Optimizer,
    /// How the learning rate changes.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    schedule: Option<Schedule>,
    /// After which epochs to save the parameters, beside the last; 0 is the initialisation, and always saved.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    checkpoints: Checkpoints,
}

#[derive(PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected 'all' or a list of epochs")]
enum Checkpoints {
    Word(All),
    Epochs(BTreeSet<u32>),
}

#[derive(PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum All {
    All,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self::Word(All::All)
    }
}

impl Stage for Train {
    const KIND: &'static str = "train";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "train a network, and save its parameters after each epoch";
    const SLOTS: &'static [Slot] = &[Slot::one("data", DATASET)];
    const OUTPUT: ArtifactType = RUN;
    const NUMERIC: bool = true;
    const RESUMES: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        for (field, problem) in [
            ("model", self.model.problem()),
            ("optimizer", self.optimizer.problem()),
            ("schedule", self.schedule.as_ref().and_then(Schedule::problem)),
        ] {
            if let Some(Problem { path, message, hint }) = problem {
                return Err(ParameterError::new(format!("{field}.{path}"), message, hint));
            }
        }
        if let Some(problem) = self.freeze.as_ref().and_then(Selection::problem) {
            let hint = problem.hint().unwrap_or_default();
            return Err(ParameterError::new("freeze", problem.to_string(), hint));
        }
        if let Some(Err([parameter, problem, hint])) = self.augment.as_ref().map(Augment::check) {
            let path = ["augment", parameter].join(".");
            return Err(ParameterError::new(path.trim_end_matches('.'), problem, hint));
        }
        let last = match &self.checkpoints {
            Checkpoints::Word(All::All) => None,
            Checkpoints::Epochs(epochs) => epochs.last().copied(),
        };
        let (path, message, hint) = match last {
            _ if self.epochs == 0 => ("epochs", "there is no epoch".to_owned(), "give 1 or more"),
            _ if self.batch == 0 => ("batch", "the batches are empty".to_owned(), "give 1 or more"),
            Some(last) if last > self.epochs => {
                let message = format!("there is no epoch {last}: the training ends after {}", self.epochs);
                ("checkpoints", message, "raise 'epochs', or leave the checkpoint out")
            }
            _ => return Ok(()),
        };
        Err(ParameterError::new(path, message, hint))
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let artifact = inputs.one("data");
        let files = &artifact.files;
        let dataset: Dataset = serde_json::from_slice(&fsx::read(files.path(examples::DESCRIPTION)?)?)?;
        let (train, test) = (data::load(files, Split::Train)?, data::load(files, Split::Test)?);
        if let Some(Problem { message, hint, .. }) = self.model.misfit(dataset.shape) {
            return Err(StageError::with_hint(format!("{}: {message}", self.model.name()), hint));
        }
        let network = self.model.network(dataset.shape, dataset.classes);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(context.threads).build()?;
        pool.install(|| self.train(&network, artifact.digest(), [&train, &test], context))?;
        let description = Description {
            version: run::VERSION,
            arch: self.model.clone(),
            seed: self.seed,
            shape: dataset.shape,
            classes: dataset.classes,
            dataset: Some(dataset.name),
            epochs: self.epochs,
            checkpoints: self.saved().into_iter().collect(),
        };
        Ok(run::write_description(context.out, &description)?)
    }
}

impl Train {
    /// The epochs after which parameters are saved.
    fn saved(&self) -> BTreeSet<u32> {
        match &self.checkpoints {
            Checkpoints::Word(All::All) => (0..=self.epochs).collect(),
            Checkpoints::Epochs(epochs) => epochs.iter().copied().chain([0, self.epochs]).collect(),
        }
    }

    /// The epochs that are asked for one by one.
    fn listed(&self) -> BTreeSet<u32> {
        match &self.checkpoints {
            Checkpoints::Word(All::All) => BTreeSet::new(),
            Checkpoints::Epochs(epochs) => epochs.clone(),
        }
    }

    fn train(
        &self,
        network: &Network,
        data: Digest,
        [train, test]: [&Examples; 2],
        context: &Context,
    ) -> Result<(), StageError> {
        let layers: Vec<_> = network.layers().iter().map(|layer| layer.name.clone()).collect();
        let frozen = self.freeze.as_ref().map_or(Ok(Vec::new()), |layers_of| layers_of.of(&layers));
        let settings = Settings {
            frozen: frozen.map_err(parameters::reset_error)?,
            batch: self.batch,
            seed: self.seed,
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
        };
        let first = self.first_state(data);
        let chain = Chain::new(context.parts, network, first, &settings, self.epochs, &self.listed());
        let walk = Walk {
            network,
            settings: &settings,
            train: Labelled { labels: &train.labels, fill: &|indices, rows| train.fill(indices, rows) },
            vary: self.augment.map(|augment| -> Vary {
                Box::new(move |epoch, indices, rows| {
                    train.fill_varied(augment, [self.seed, epoch.into()], indices, rows);
                })
            }),
            test: Labelled { labels: &test.labels, fill: &|indices, rows| test.fill(indices, rows) },
            check: &|| train.check().and_then(|()| test.check()),
            chain: &chain,
            context,
            epochs: self.epochs,
            trainer: None,
            told: 0,
        };
        walk.write(&self.saved())
    }

    /// Identity of the state before the first epoch.
    fn first_state(&self, data: Digest) -> Digest {
        let mut fields = Fields::new("layerwise training v1");
        fields.add("version", &Self::VERSION.to_le_bytes());
        fields.add("format", &state::VERSION.to_le_bytes());
        fields.add("numerics", kernels::numerics_class().as_bytes());
        let arch = serde_json::to_value(&self.model).expect("an architecture is plain data");
        fields.add("arch", &canonical::bytes(&arch));
        fields.add("seed", &self.seed.to_le_bytes());
        fields.add("data", data.bytes());
        if let Some(augment) = &self.augment {
            let augment = serde_json::to_value(augment).expect("an augmentation is plain data");
            fields.add("augment", &canonical::bytes(&augment));
        }
        fields.finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::nn::run::Run;
    use crate::stage::{Kind, ParseError};

    static KIND: Kind = Kind::of::<Train>();

    fn parameters(epochs: u32) -> Value {
        json!({
            "model": {"fcn": {"depth": 2, "width": 20}}, "epochs": epochs, "batch": 128, "seed": 1,
            "optimizer": {"sgd": {"lr": 0.1, "momentum": 0.9}}, "schedule": {"steps": {"at": [2], "factor": 0.5}},
        })
    }

    #[test]
    fn a_run_has_its_checkpoints_and_curves() {
        let bench = Bench::new();
        let output = bench.stage("run", &KIND, &parameters(3), &[("data", &bench.dataset())]).unwrap();
        let run = Run::open(&output.files).unwrap();
        assert_eq!((run.description.epochs, run.description.dataset.as_deref()), (3, Some("toy")));
        assert_eq!(run.description.checkpoints, [0, 1, 2, 3]);
        assert_eq!(run.params(0).unwrap(), run.network().init(1));
        assert_ne!(run.params(3).unwrap(), run.params(2).unwrap());
        let curves = fsx::read_to_string(output.path("training.csv").unwrap()).unwrap();
        let lines: Vec<_> = curves.lines().collect();
        assert_eq!(lines.len(), 1 + 4 * 4);
        assert!(lines[1].starts_with("0,test,error,0."), "{}", lines[1]);
        assert!(lines[16].starts_with("3,train,loss,1."), "{}", lines[16]);
    }

    #[test]
    fn some_checkpoints() {
        let bench = Bench::new();
        let mut parameters = parameters(3);
        parameters["checkpoints"] = json!([2]);
        let run = bench.stage("run", &KIND, &parameters, &[("data", &bench.dataset())]).unwrap();
        assert_eq!(Run::open(&run.files).unwrap().description.checkpoints, [0, 2, 3]);
        assert_eq!(run.files.0.len(), 5);
    }

    #[test]
    fn frozen_layers_stay_as_they_were_initialised() {
        let bench = Bench::new();
        let mut parameters = parameters(2);
        let whole = bench.stage("whole", &KIND, &parameters, &[("data", &bench.dataset())]).unwrap();
        parameters["freeze"] = json!(["layer*", "!layer3"]);
        let output = bench.stage("run", &KIND, &parameters, &[("data", &bench.dataset())]).unwrap();
        let (run, whole) = (Run::open(&output.files).unwrap(), Run::open(&whole.files).unwrap());
        let (first, last) = (run.params(0).unwrap(), run.params(2).unwrap());
        for (before, after) in first.iter().zip(&last) {
            assert_eq!(before == after, !before.name.starts_with("layer3."), "{}", before.name);
        }
        assert_eq!(first, whole.params(0).unwrap());
        assert_ne!(last.get("layer3.weight"), whole.params(2).unwrap().get("layer3.weight"));
        parameters["freeze"] = json!(["layer4"]);
        let (message, _) = complaint(bench.stage("none", &KIND, &parameters, &[("data", &bench.dataset())]));
        assert_eq!(message, "the network has no layer 'layer4'");
    }

    #[test]
    fn a_diverged_loss_says_where() {
        let bench = Bench::new();
        let mut parameters = parameters(9);
        parameters["optimizer"] = json!({"sgd": {"lr": 1e30}});
        let result = bench.stage("run", &KIND, &parameters, &[("data", &bench.dataset())]);
        let (message, hint) = complaint(result);
        assert!(message.starts_with("the loss became ") && message.contains(" in batch "), "{message}");
        assert!(message.ends_with(" of epoch 1"), "{message}");
        assert_eq!(hint, "lower the learning rate 'lr'");
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let refused = |change: fn(&mut Value)| {
            let mut parameters = parameters(3);
            change(&mut parameters);
            match KIND.parse(&parameters) {
                Err(ParseError::Value(error)) => error.path,
                Err(ParseError::Shape { path, .. }) => format!("{path}?"),
                Ok(_) => "none".to_owned(),
            }
        };
        assert_eq!(refused(|_| ()), "none");
        assert_eq!(refused(|p| p["epochs"] = json!(0)), "epochs");
        assert_eq!(refused(|p| p["batch"] = json!(0)), "batch");
        assert_eq!(refused(|p| p["model"]["fcn"]["width"] = json!(0)), "model.fcn.width");
        assert_eq!(refused(|p| p["optimizer"]["sgd"]["lr"] = json!(-0.1)), "optimizer.sgd.lr");
        assert_eq!(refused(|p| p["optimizer"]["sgd"]["momentum"] = json!(1)), "optimizer.sgd.momentum");
        assert_eq!(refused(|p| p["schedule"]["steps"]["factor"] = json!(0)), "schedule.steps.factor");
        assert_eq!(refused(|p| p["freeze"] = json!([])), "freeze");
        assert_eq!(refused(|p| p["freeze"] = json!(["layer[1"])), "freeze");
        assert_eq!(refused(|p| p["augment"] = json!({})), "augment");
        assert_eq!(refused(|p| p["augment"] = json!({"pad": 300})), "augment.pad?");
        assert_eq!(refused(|p| p["augment"] = json!({"crop": 4})), "augment.crop?");
        assert_eq!(refused(|p| p["augment"] = json!({"pad": 4, "resized_crop": {}})), "augment");
        let larger = refused(|p| p["augment"] = json!({"resized_crop": {"scale": [0.5, 1.5]}}));
        assert_eq!(larger, "augment.resized_crop.scale");
        let negative = refused(|p| p["augment"] = json!({"resized_crop": {"ratio": [-1.0, 1.0]}}));
        assert_eq!(negative, "augment.resized_crop.ratio");
        assert_eq!(refused(|p| p["checkpoints"] = json!([1, 4])), "checkpoints");
        assert_eq!(refused(|p| p["checkpoints"] = json!("some")), "checkpoints?");
        assert_eq!(refused(|p| p["model"]["fcn"]["depth"] = json!("three")), "model.fcn.depth?");
    }

    #[test]
    fn defaults_are_not_in_the_key() {
        let plain = parameters(3);
        let mut spelt = plain.clone();
        spelt["checkpoints"] = json!("all");
        spelt["optimizer"]["sgd"]["weight_decay"] = json!(0);
        spelt["augment"] = json!(null);
        let written = |parameters| KIND.parse(parameters).unwrap().parameters();
        assert_eq!(written(&spelt), written(&plain));
        assert_eq!(written(&plain), plain);
    }
}
