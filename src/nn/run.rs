//! The format of a run: `run.json`, a safetensors file per checkpoint, `training.csv`. Writer and reader together.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::files::{Files, NoSuchFile};
use crate::base::fsx::{self, FileError};
use crate::nn::links::TensorSpec;
use crate::nn::network::Network;
use crate::nn::params::{Parameter, Params};
use crate::nn::tensors;
use crate::nn::zoo::Arch;

/// Version of the format.
pub const VERSION: u32 = 1;
const DESCRIPTION: &str = "run.json";
const TRAINING: &str = "training.csv";

/// `run.json`: what was trained, on what, and which checkpoints there are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Version of the format.
    pub version: u32,
    /// Architecture.
    pub arch: Arch,
    /// Seed of the initialisation and of the order of examples.
    pub seed: u64,
    /// Shape of an example: channels, height, width.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Name of the dataset, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// How many epochs it was trained for: T, the epoch of the final checkpoint.
    pub epochs: u32,
    /// The epochs of which there are checkpoints, ascending; 0 is the initialisation, if it is known and kept.
    pub checkpoints: Vec<u32>,
}

/// A row of `training.csv`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrainingRow {
    /// Epochs done; 0 is before training.
    pub epoch: u32,
    /// `train` or `test`.
    pub split: String,
    /// `error` or `loss`.
    pub metric: String,
    /// Its value.
    pub value: f64,
}

impl TrainingRow {
    /// The name of the curve that it is a point of: `test/error`.
    pub fn curve(&self) -> String {
        format!("{}/{}", self.split, self.metric)
    }
}

/// Why a run could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RunError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    NoSuchFile(#[from] NoSuchFile),
    #[error("'{DESCRIPTION}' is not the description of a run: {0}")]
    Description(serde_json::Error),
    #[error("the run is of format {found}, and this program reads format {VERSION}")]
    Version { found: u32 },
    #[error("the run has no checkpoint of epoch {epoch}, only of {}", list(present))]
    NoCheckpoint { epoch: u32, present: Vec<u32> },
    #[error("'{file}' is not a safetensors file of f32: {source}")]
    Tensors { file: String, source: safetensors::SafeTensorError },
    #[error("'{file}' has no tensor '{tensor}' of shape {shape:?}")]
    NoTensor { file: String, tensor: String, shape: Vec<usize> },
}

fn list(epochs: &[u32]) -> String {
    epochs.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

impl RunError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoCheckpoint { epoch: 0, .. } => Some(
                "give the initial values as 'init' of the 'import' stage, or keep epoch 0 in 'checkpoint'",
            ),
            Self::NoCheckpoint { .. } => Some("add the epoch to 'checkpoints' of the 'train' stage"),
            Self::Version { .. } => Some("train again, or use the version that wrote it"),
            _ => None,
        }
    }
}

/// A run to read from.
#[derive(Debug)]
pub struct Run {
    /// What it is.
    pub description: Description,
    files: Files,
    network: Network,
}

impl Run {
    /// Reads the description; checkpoints are read when they are asked for.
    pub fn open(files: &Files) -> Result<Self, RunError> {
        let text = fsx::read(files.path(DESCRIPTION)?)?;
        let description: Description = serde_json::from_slice(&text).map_err(RunError::Description)?;
        if description.version != VERSION {
            return Err(RunError::Version { found: description.version });
        }
        let network = description.arch.network(description.shape, description.classes);
        Ok(Self { description, files: files.clone(), network })
    }

    /// The network that was trained.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Reads the parameters θ^τ of a checkpoint.
    pub fn params(&self, epoch: u32) -> Result<Params, RunError> {
        let present = &self.description.checkpoints;
        if !present.contains(&epoch) {
            return Err(RunError::NoCheckpoint { epoch, present: present.clone() });
        }
        let file = checkpoint_name(epoch);
        let bytes = fsx::read(self.files.path(&file)?)?;
        params_from_bytes(&self.network, &bytes, &file)
    }

    /// Reads the final parameters θ^T.
    pub fn final_params(&self) -> Result<Params, RunError> {
        self.params(self.description.epochs)
    }
}

/// Reads parameters of a network from the bytes of a safetensors file.
fn params_from_bytes(network: &Network, bytes: &[u8], file: &str) -> Result<Params, RunError> {
    let present =
        tensors::from_bytes(bytes).map_err(|source| RunError::Tensors { file: file.to_owned(), source })?;
    of_network(network, present, file)
}

/// Brings the tensors of a file into chain order; each must be there in its shape, and others are ignored.
pub(super) fn of_network(
    network: &Network,
    mut present: Vec<Parameter>,
    file: &str,
) -> Result<Params, RunError> {
    let take = |(tensor, expected): (String, TensorSpec)| {
        let place = present.iter().position(|found| found.name == tensor && found.shape == expected.shape);
        let shape = expected.shape;
        let missing = || RunError::NoTensor { file: file.to_owned(), tensor, shape };
        Ok::<Parameter, RunError>(present.swap_remove(place.ok_or_else(missing)?))
    };
    Ok(Params(network.tensors().map(take).collect::<Result<_, _>>()?))
}

/// File name of a checkpoint.
pub fn checkpoint_name(epoch: u32) -> String {
    format!("checkpoint-{epoch:04}.safetensors")
}

/// The bytes of a checkpoint's file.
pub fn checkpoint_to_bytes(params: &Params) -> Vec<u8> {
    tensors::to_bytes(params, tensors::FORMAT)
}

/// Writes the parameters θ^τ.
pub fn write_checkpoint(folder: &Path, epoch: u32, params: &Params) -> Result<(), FileError> {
    fsx::write_atomic(&folder.join(checkpoint_name(epoch)), &checkpoint_to_bytes(params))
}

/// Writes the description.
pub fn write_description(folder: &Path, description: &Description) -> Result<(), FileError> {
    let mut text = serde_json::to_vec_pretty(description).expect("a description is plain data");
    text.push(b'\n');
    fsx::write_atomic(&folder.join(DESCRIPTION), &text)
}

/// Writes the learning curves.
pub fn write_training(folder: &Path, rows: &[TrainingRow]) -> Result<(), FileError> {
    fsx::write_atomic(&folder.join(TRAINING), training_to_csv(rows).as_bytes())
}

/// Reads the learning curves of a run; none where they cannot be read as such.
pub fn training_of(files: &Files) -> Result<Vec<TrainingRow>, FileError> {
    let text = files.path(TRAINING).map_or(Ok(String::new()), fsx::read_to_string)?;
    Ok(training_from_csv(&text).unwrap_or_default())
}

/// The learning curves as text, from which [`training_from_csv`] gives the same bits.
pub(super) fn training_to_csv(rows: &[TrainingRow]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("writing to memory");
    }
    String::from_utf8(writer.into_inner().expect("writing to memory")).expect("names and numbers are UTF-8")
}

/// Reads the learning curves.
pub(super) fn training_from_csv(text: &str) -> Result<Vec<TrainingRow>, csv::Error> {
    csv::Reader::from_reader(text.as_bytes()).into_deserialize().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::Fcn;

    fn description() -> Description {
        let arch = Arch::Fcn(Fcn { depth: 10, width: 3 });
        let (shape, dataset) = ([1, 2, 2], Some("toy".to_owned()));
        Description {
            version: VERSION,
            arch,
            seed: 7,
            shape,
            classes: 2,
            dataset,
            epochs: 1,
            checkpoints: vec![0, 1],
        }
    }

    fn files(folder: &Path) -> Files {
        Files(fsx::list(folder).unwrap().into_iter().map(|name| (name.clone(), folder.join(name))).collect())
    }

    #[test]
    fn reads_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let network = description().arch.network([1, 2, 2], 2);
        write_checkpoint(folder.path(), 0, &network.init(7)).unwrap();
        write_checkpoint(folder.path(), 1, &network.draw(7, 0)).unwrap();
        write_description(folder.path(), &description()).unwrap();
        let run = Run::open(&files(folder.path())).unwrap();
        assert_eq!(run.description, description());
        assert_eq!(
            run.params(0).unwrap(),
            network.init(7),
            "chain order, though the file sorts layer10 before layer2"
        );
        assert_eq!(run.final_params().unwrap(), network.draw(7, 0));
        let error = run.params(5).unwrap_err();
        assert_eq!(error.to_string(), "the run has no checkpoint of epoch 5, only of 0, 1");
    }

    #[test]
    fn learning_curves_are_tidy() {
        let folder = tempfile::tempdir().unwrap();
        let row = TrainingRow { epoch: 1, split: "test".into(), metric: "error".into(), value: 0.1 };
        write_training(folder.path(), &[row]).unwrap();
        let text = fsx::read_to_string(&folder.path().join(TRAINING)).unwrap();
        assert_eq!(text, "epoch,split,metric,value\n1,test,error,0.1\n");
    }
}
