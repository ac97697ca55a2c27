//! `train`: a network from its initialisation to its final epoch, with checkpoints and learning curves.
//!
//! The state after every epoch is kept in `scratch`, so an interrupted training continues; checkpoints go to `out` as they come.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::data::{self, DataError, Examples, Split};
use crate::kinds::{DATASET, RUN};
use crate::nn::network::Network;
use crate::nn::optimizer::{Optimizer, Sgd};
use crate::nn::run::{self, Description};
use crate::nn::schedule::{Schedule, Steps};
use crate::nn::state::State;
use crate::nn::train::{self as training, Bench, Recipe, TrainError};
use crate::nn::zoo::Arch;
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `train`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The network.
    model: Arch,
    /// How many times every example is met.
    #[serde(with = "crate::base::positive")]
    epochs: u32,
    /// Examples per step.
    #[serde(with = "crate::base::positive")]
    batch: usize,
    /// Names the initialisation and the order of examples.
    seed: u64,
    /// How values follow their gradients.
    optimizer: Optimizer,
    /// How the learning rate changes; without it, not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<Schedule>,
    /// Epochs to keep, beside 0 and the final one; without it, every epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoints: Option<BTreeSet<u32>>,
}

impl Stage for Train {
    const KIND: &'static str = "train";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "train a network, and keep its checkpoints";
    const SLOTS: &'static [Slot] = &[Slot::one("data", DATASET)];
    const OUTPUT: ArtifactType = RUN;
    const NUMERIC: bool = true;
    const RESUMES: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        let Optimizer::Sgd(Sgd { lr, momentum, weight_decay }) = self.optimizer;
        let factor = self.schedule.as_ref().map(|Schedule::Steps(Steps { factor, .. })| *factor);
        let late = self.checkpoints.iter().flatten().find(|epoch| **epoch > self.epochs);
        let (path, message, hint) = if lr <= 0.0 {
            ("optimizer.sgd.lr", format!("a learning rate of {lr} learns nothing"), "choose one above 0")
        } else if !(0.0..1.0).contains(&momentum) {
            ("optimizer.sgd.momentum", format!("{momentum} is no momentum"), "choose one from 0 to below 1")
        } else if weight_decay < 0.0 {
            ("optimizer.sgd.weight_decay", format!("{weight_decay} pushes values apart"), "choose 0 or more")
        } else if let Some(factor) = factor.filter(|factor| *factor <= 0.0) {
            ("schedule.steps.factor", format!("a factor of {factor} ends the learning"), "choose one above 0")
        } else if let Some(epoch) = late {
            let message = format!("epoch {epoch} is after the last one, {}", self.epochs);
            ("checkpoints", message, "name epochs that are trained, or raise 'epochs'")
        } else {
            return Ok(());
        };
        Err(ParameterError::new(path, message, hint))
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let load = |split| -> Result<Examples, DataError> { data::load(&inputs.one("data").files, split) };
        let (train, test) = (load(Split::Train)?, load(Split::Test)?);
        let network = self.model.network(train.shape, train.classes);
        self.train(&network, &train, &test, context)?;
        let description = Description::new(
            self.model.clone(),
            self.seed,
            &train.dataset,
            (train.shape, train.classes),
            self.kept().collect(),
        );
        Ok(run::write_description(context.out, &description)?)
    }
}

impl Train {
    /// The epochs of which checkpoints are kept, ascending.
    fn kept(&self) -> impl Iterator<Item = u32> {
        let is_kept = |epoch: &u32| match &self.checkpoints {
            None => true,
            Some(epochs) => [0, self.epochs].contains(epoch) || epochs.contains(epoch),
        };
        (0..=self.epochs).filter(is_kept)
    }

    /// Trains all epochs, from the latest state that there is.
    fn train(
        &self,
        network: &Network,
        train: &Examples,
        test: &Examples,
        context: &Context,
    ) -> Result<(), StageError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(context.threads).build()?;
        let batches = train.len().div_ceil(self.batch);
        let mut state = State::read(context.scratch, network);
        let mut latest = String::new();
        loop {
            let done = state.as_ref().map_or(0, |state| state.epoch);
            let progress = |batch: usize, loss: f64| {
                let note = format!("epoch {}/{}  loss {loss:.4}{latest}", done + 1, self.epochs);
                let all = u64::from(self.epochs) * batches as u64;
                context.progress(u64::from(done) * batches as u64 + batch as u64, all, "batches", note);
            };
            let cancelled = context.cancelled;
            let bench = Bench { network, train, test, pool: &pool, cancelled, progress: &progress };
            let next = match state.take() {
                None => training::start(&bench, self.seed).map_err(stage_error)?,
                Some(state) if state.epoch >= self.epochs => {
                    return Ok(run::write_training(context.out, &state.rows)?);
                }
                Some(state) => training::epoch(&bench, &self.recipe(), state).map_err(stage_error)?,
            };
            // The checkpoint first: a state on the disk says that its checkpoint is there too.
            if self.kept().any(|epoch| epoch == next.epoch) {
                run::write_checkpoint(context.out, next.epoch, &next.params)?;
            }
            next.write(context.scratch)?;
            latest = next.test_error().map_or(String::new(), |error| format!("  test error {error:.4}"));
            state = Some(next);
        }
    }

    fn recipe(&self) -> Recipe<'_> {
        let Self { batch, seed, optimizer, schedule, .. } = self;
        Recipe { batch: *batch, seed: *seed, optimizer, schedule: schedule.as_ref() }
    }
}

fn stage_error(error: TrainError) -> StageError {
    match error {
        TrainError::Cancelled => StageError::Cancelled,
        TrainError::Diverged { .. } => StageError::with_hint(error, "lower the learning rate"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::fsx;
    use crate::kinds::fixture::{Bench as Fixture, complaint};
    use crate::nn::run::Run;
    use crate::stage::{Kind, ParseError};

    static KIND: Kind = Kind::of::<Train>();

    fn parameters() -> serde_json::Value {
        json!({
            "model": { "fcn": { "depth": 2, "width": 8 } }, "epochs": 4, "batch": 32, "seed": 1,
            "optimizer": { "sgd": { "lr": 0.05, "momentum": 0.9 } },
        })
    }

    fn with(change: &serde_json::Value) -> serde_json::Value {
        let mut parameters = parameters();
        for (name, value) in change.as_object().unwrap() {
            parameters[name] = value.clone();
        }
        parameters
    }

    #[test]
    fn checkpoints_are_the_initialisation_the_end_and_what_was_asked_for() {
        let fixture = Fixture::new();
        let data = fixture.dataset();
        let every = fixture.stage("every", &KIND, &parameters(), &[("data", &data)]).unwrap();
        let every = Run::open(&every.files).unwrap();
        assert_eq!(every.description.checkpoints, [0, 1, 2, 3, 4]);
        assert_eq!(every.params(0).unwrap(), every.network().init(1));
        assert_ne!(every.params(0).unwrap(), every.params(1).unwrap());
        let some = with(&json!({ "checkpoints": [2] }));
        let some = fixture.stage("some", &KIND, &some, &[("data", &data)]).unwrap();
        let some = Run::open(&some.files).unwrap();
        assert_eq!(some.description.checkpoints, [0, 2, 4]);
        assert_eq!(some.final_params().unwrap(), every.final_params().unwrap());
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (change, path) in [
            (json!({ "optimizer": { "sgd": { "lr": 0.0 } } }), "optimizer.sgd.lr"),
            (json!({ "optimizer": { "sgd": { "lr": 0.1, "momentum": 1.0 } } }), "optimizer.sgd.momentum"),
            (
                json!({ "optimizer": { "sgd": { "lr": 0.1, "weight_decay": -1 } } }),
                "optimizer.sgd.weight_decay",
            ),
            (json!({ "schedule": { "steps": { "at": [1], "factor": 0.0 } } }), "schedule.steps.factor"),
            (json!({ "checkpoints": [5] }), "checkpoints"),
        ] {
            let Err(ParseError::Value(error)) = KIND.parse(&with(&change)) else { panic!("{change}") };
            assert_eq!(error.path, path);
        }
        for change in [
            json!({ "epochs": 0 }),
            json!({ "batch": 0 }),
            json!({ "model": { "fcn": { "depth": 0, "width": 1 } } }),
        ] {
            assert!(matches!(KIND.parse(&with(&change)), Err(ParseError::Shape { .. })), "{change}");
        }
    }

    #[test]
    fn a_loss_that_is_no_number_names_its_place() {
        let fixture = Fixture::new();
        let wild = with(&json!({ "optimizer": { "sgd": { "lr": 1e30 } } }));
        let (message, hint) = complaint(fixture.stage("wild", &KIND, &wild, &[("data", &fixture.dataset())]));
        assert!(
            message.contains("in epoch 1, batch ") && message.contains("at a learning rate of 1e30"),
            "{message}"
        );
        assert_eq!(hint, "lower the learning rate");
    }

    #[test]
    fn a_stopped_training_continues_to_the_same_bytes() {
        let fixture = Fixture::new();
        let data = fixture.dataset();
        let whole = fixture.stage("whole", &KIND, &parameters(), &[("data", &data)]).unwrap();
        for stop_after in 1..6 {
            let name = format!("stopped{stop_after}");
            let attempt = |after| {
                let parameters = parameters();
                fixture.attempt(&name, (&KIND, &parameters), &[("data", &data)], after)
            };
            assert!(matches!(attempt(stop_after), Err(StageError::Cancelled)));
            let continued = attempt(usize::MAX).unwrap();
            assert_eq!(whole.files.0.len(), continued.files.0.len());
            for (name, path) in &whole.files.0 {
                let continued = fsx::read(continued.path(name).unwrap()).unwrap();
                assert!(fsx::read(path).unwrap() == continued, "{name}, stopped after {stop_after} reports");
            }
        }
    }
}
