//! `train`: a network from its initialisation to its last epoch, with checkpoints.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx::{self, FileError};
use crate::data::catalogue::Dataset;
use crate::data::{self, Examples, Split, examples};
use crate::kinds::{DATASET, RUN, parameters};
use crate::nn::examples::Labelled;
use crate::nn::network::Network;
use crate::nn::optimizer::Optimizer;
use crate::nn::problem::Problem;
use crate::nn::run::{self, Description};
use crate::nn::schedule::Schedule;
use crate::nn::state::State;
use crate::nn::train::{Progress, Settings, TrainError, Trainer};
use crate::nn::zoo::Arch;
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// What an interrupted training continues from, in its scratch folder.
const STATE: &str = "state";
/// Multiplications between two reports: a fraction of a second.
const REPORT: usize = 1 << 31;

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
    /// Seed of the initialisation and of the order of examples.
    seed: u64,
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
        let files = &inputs.one("data").files;
        let dataset: Dataset = serde_json::from_slice(&fsx::read(files.path(examples::DESCRIPTION)?)?)?;
        let (train, test) = (data::load(files, Split::Train)?, data::load(files, Split::Test)?);
        let network = self.model.network(dataset.shape, dataset.classes);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(context.threads).build()?;
        pool.install(|| self.train(&network, &train, &test, context))?;
        let description = Description {
            version: run::VERSION,
            arch: self.model.clone(),
            seed: self.seed,
            shape: dataset.shape,
            classes: dataset.classes,
            dataset: dataset.name,
            epochs: self.epochs,
            checkpoints: self.saved(self.epochs),
        };
        Ok(run::write_description(context.out, &description)?)
    }
}

impl Train {
    /// The epochs up to this one after which parameters are saved.
    fn saved(&self, epoch: u32) -> Vec<u32> {
        let is_saved = |epoch: &u32| match &self.checkpoints {
            Checkpoints::Word(All::All) => true,
            Checkpoints::Epochs(epochs) => [0, self.epochs].contains(epoch) || epochs.contains(epoch),
        };
        (0..=epoch).filter(is_saved).collect()
    }

    fn train(
        &self,
        network: &Network,
        train: &Examples,
        test: &Examples,
        context: &Context,
    ) -> Result<(), StageError> {
        let settings = Settings {
            batch: self.batch,
            seed: self.seed,
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
        };
        let fill = |indices: &[u32], rows: &mut [f32]| train.fill(indices, rows);
        let train = Labelled { labels: &train.labels, fill: &fill };
        let fill = |indices: &[u32], rows: &mut [f32]| test.fill(indices, rows);
        let test = Labelled { labels: &test.labels, fill: &fill };
        let mut trainer = if let Some(state) = self.interrupted(network, context)? {
            Trainer::resume(network, &settings, state)
        } else {
            let trainer = Trainer::new(network, &settings, &train, &test);
            run::write_checkpoint(context.out, 0, &trainer.params())?;
            trainer
        };
        let interval = (REPORT / (trainer.params().count() * self.batch)).max(1) as u64;
        while trainer.epoch() < self.epochs {
            let before = trainer.epoch();
            let mut tick = |progress: Progress| {
                self.report(before, &progress, interval, context);
                context.check_cancelled().is_ok()
            };
            trainer.train_epoch(&train, &test, &mut tick).map_err(stage_error)?;
            if self.saved(self.epochs).contains(&trainer.epoch()) {
                run::write_checkpoint(context.out, trainer.epoch(), &trainer.params())?;
            }
            fsx::write_atomic(&context.scratch.join(STATE), &trainer.state().to_bytes())?;
        }
        Ok(run::write_training(context.out, trainer.rows())?)
    }

    /// The state of an interrupted training, if it is whole and the checkpoints before it are there. Removes what else was
    /// left in the output.
    fn interrupted(&self, network: &Network, context: &Context) -> Result<Option<State>, FileError> {
        let path = context.scratch.join(STATE);
        let bytes = if fsx::size(&path).is_some() { fsx::read(&path)? } else { Vec::new() };
        let state = State::from_bytes(network, &bytes).filter(|state| {
            let mut names = self.saved(state.epoch).into_iter().map(run::checkpoint_name);
            state.epoch <= self.epochs && names.all(|name| fsx::size(&context.out.join(name)).is_some())
        });
        let kept: BTreeSet<_> = state
            .as_ref()
            .map(|state| self.saved(state.epoch).into_iter().map(run::checkpoint_name).collect())
            .unwrap_or_default();
        for name in fsx::list(context.out)?.into_iter().filter(|name| !kept.contains(name)) {
            fsx::remove_file(&context.out.join(name))?;
        }
        Ok(state)
    }

    fn report(&self, epochs: u32, progress: &Progress, interval: u64, context: &Context) {
        let per_epoch = progress.of as u64;
        let done = u64::from(epochs) * per_epoch + progress.batches as u64;
        if done.is_multiple_of(interval) {
            let (loss, error) = (progress.score.mean_loss(), progress.score.error());
            let note = format!("epoch {}/{}  loss {loss:.4}  error {error:.4}", epochs + 1, self.epochs);
            context.progress(done, u64::from(self.epochs) * per_epoch, "batches", note);
        }
    }
}

fn stage_error(error: TrainError) -> StageError {
    match error.hint() {
        _ if matches!(error, TrainError::Cancelled) => StageError::Cancelled,
        Some(hint) => StageError::with_hint(error, hint),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::kinds::testing;
    use crate::nn::run::Run;
    use crate::stage::{Artifact, Kind, ParseError};

    static KIND: Kind = Kind::of::<Train>();

    fn parameters(epochs: u32) -> Value {
        json!({
            "model": {"fcn": {"depth": 2, "width": 20}}, "epochs": epochs, "batch": 128, "seed": 1,
            "optimizer": {"sgd": {"lr": 0.1, "momentum": 0.9}}, "schedule": {"steps": {"at": [2], "factor": 0.5}},
        })
    }

    /// Folders of one stage, which outlive an interruption.
    struct Folders(TempDir);

    impl Folders {
        fn new() -> Self {
            let folders = Self(tempfile::tempdir().unwrap());
            for name in ["out", "scratch"] {
                fsx::create_dir_all(&folders.path(name)).unwrap();
            }
            folders
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn train(&self, epochs: u32, data: &Artifact, cancelled: bool) -> Result<Artifact, StageError> {
            let inputs = Inputs([("data".to_owned(), vec![data.clone()])].into());
            let stage = KIND.parse(&parameters(epochs)).unwrap();
            testing::execute(&*stage, &inputs, (&self.path("out"), &self.path("scratch")), cancelled)
        }
    }

    fn bytes(artifact: &Artifact) -> Vec<(String, Vec<u8>)> {
        artifact.files.0.iter().map(|(name, path)| (name.clone(), fsx::read(path).unwrap())).collect()
    }

    #[test]
    fn a_run_has_its_checkpoints_and_curves() {
        let (bench, folders) = (Bench::new(), Folders::new());
        let output = folders.train(3, &bench.dataset(), false).unwrap();
        let run = Run::open(&output.files).unwrap();
        assert_eq!((run.description.epochs, run.description.dataset.as_str()), (3, "toy"));
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
    fn a_continued_training_gives_the_bytes_of_an_uninterrupted_one() {
        let bench = Bench::new();
        let data = bench.dataset();
        let whole = bytes(&Folders::new().train(4, &data, false).unwrap());

        let folders = Folders::new();
        folders.train(2, &data, false).unwrap(); // its state is that of the longer training after epoch 2
        assert!(matches!(folders.train(4, &data, true), Err(StageError::Cancelled)));
        let [mark, stray] = ["out/checkpoint-0001.safetensors", "out/.x.tmp"].map(|name| folders.path(name));
        fsx::write_atomic(&mark, b"not written again").unwrap();
        fsx::write_atomic(&stray, b"torn").unwrap();
        let mut continued = bytes(&folders.train(4, &data, false).unwrap());
        assert_eq!(continued[1].1, b"not written again");
        continued[1] = whole[1].clone();
        assert_eq!(continued, whole);
    }

    #[test]
    fn a_torn_state_is_ignored_and_so_is_one_without_its_checkpoints() {
        let bench = Bench::new();
        let data = bench.dataset();
        let whole = bytes(&Folders::new().train(2, &data, false).unwrap());
        let folders = Folders::new();
        for damaged in ["scratch/state", "out/checkpoint-0000.safetensors"] {
            folders.train(2, &data, false).unwrap();
            let path = folders.path(damaged);
            let state = fsx::read(&path).unwrap();
            fsx::remove_file(&path).unwrap();
            if damaged.ends_with("state") {
                fsx::write_atomic(&path, &state[..state.len() / 2]).unwrap();
            }
            let mark = folders.path("out/checkpoint-0001.safetensors");
            fsx::write_atomic(&mark, b"written again").unwrap();
            assert_eq!(bytes(&folders.train(2, &data, false).unwrap()), whole, "{damaged}");
        }
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
        let written = |parameters| KIND.parse(parameters).unwrap().parameters();
        assert_eq!(written(&spelt), written(&plain));
        assert_eq!(written(&plain), plain);
    }
}
