//! The state of a training between two epochs: all that the next epoch depends on, in a file that is whole or not believed.
//!
//! ```text
//! BLAKE3 of the rest, 64 hex digits, and a newline
//! epoch, length of the learning curves in bytes, length of the parameters in bytes, and a newline
//! the learning curves so far, as in `training.csv`
//! the parameters, a safetensors file
//! the momentum, likewise
//! ```

use std::path::Path;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::nn::network::Network;
use crate::nn::params::Params;
use crate::nn::run::{self, TrainingRow};
use crate::nn::tensors;

const FILE: &str = "state";

/// What a training continues from.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// Epochs done.
    pub epoch: u32,
    /// Learning curves so far.
    pub rows: Vec<TrainingRow>,
    /// Parameters.
    pub params: Params,
    /// Momentum of the optimizer, under the names of the parameters.
    pub momentum: Params,
}

impl State {
    /// The latest error on the test examples.
    pub fn test_error(&self) -> Option<f64> {
        let is_wanted = |row: &&TrainingRow| row.split == "test" && row.metric == "error";
        self.rows.iter().rev().find(is_wanted).map(|row| row.value)
    }

    /// Writes the state into a folder, over an earlier one.
    pub fn write(&self, folder: &Path) -> Result<(), FileError> {
        let curves = run::training_csv(&self.rows);
        let params = tensors::to_bytes(&self.params);
        let head = format!("{} {} {}\n", self.epoch, curves.len(), params.len());
        let body = [head.as_bytes(), &curves, &params, &tensors::to_bytes(&self.momentum)].concat();
        let bytes = [format!("{}\n", Digest::of(&body)).as_bytes(), &body].concat();
        fsx::write_atomic(&folder.join(FILE), &bytes)
    }

    /// Reads the state of a network's training from a folder; `None` if there is none, or not a whole one.
    pub fn read(folder: &Path, network: &Network) -> Option<Self> {
        let bytes = fsx::read(&folder.join(FILE)).ok()?;
        let (digest, body) = bytes.split_at_checked(65)?;
        if digest != format!("{}\n", Digest::of(body)).as_bytes() {
            return None;
        }
        let end = body.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&body[..end]).ok()?;
        let numbers: Vec<usize> = head.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [epoch, curves, params] = numbers[..] else { return None };
        let (curves, rest) = body[end + 1..].split_at_checked(curves)?;
        let (params, momentum) = rest.split_at_checked(params)?;
        let read = |bytes| run::params_from_bytes(network, bytes, FILE).ok();
        let rows = run::parse_training(curves)?;
        Some(Self {
            epoch: u32::try_from(epoch).ok()?,
            rows,
            params: read(params)?,
            momentum: read(momentum)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::{Arch, Fcn};

    #[test]
    fn reads_what_it_wrote_and_believes_nothing_torn() {
        let folder = tempfile::tempdir().unwrap();
        let network = Arch::Fcn(Fcn { depth: 2, width: 3 }).network([1, 2, 2], 2);
        let row = TrainingRow { epoch: 0, split: "test".into(), metric: "loss".into(), value: 0.1 + 0.2 };
        let state = State { epoch: 3, rows: vec![row], params: network.init(0), momentum: network.init(1) };
        assert_eq!(State::read(folder.path(), &network), None);
        state.write(folder.path()).unwrap();
        assert_eq!(State::read(folder.path(), &network), Some(state));
        let path = folder.path().join(FILE);
        let whole = fsx::read(&path).unwrap();
        for length in (0..whole.len()).step_by(7) {
            fsx::write_atomic(&path, &whole[..length]).unwrap();
            assert_eq!(State::read(folder.path(), &network), None, "{length} bytes");
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        fsx::write_atomic(&path, &flipped).unwrap();
        assert_eq!(State::read(folder.path(), &network), None);
        fsx::write_atomic(&path, &whole).unwrap();
        let other = Arch::Fcn(Fcn { depth: 3, width: 3 }).network([1, 2, 2], 2);
        assert_eq!(State::read(folder.path(), &other), None);
    }
}
