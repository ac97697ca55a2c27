//! The state of a training between two epochs, as a file.
//!
//! 32 bytes of BLAKE3 hash, then a safetensors file of parameters and momenta whose metadata holds the rest. A file that
//! is torn, or of another network, is no state.

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::nn::network::Network;
use crate::nn::params::{Parameter, Params};
use crate::nn::run::{self, TrainingRow};
use crate::nn::tensors;

/// Version of the format.
pub const VERSION: u32 = 1;
/// Key of the metadata.
const PROGRESS: &str = "progress";
/// Prefix of the momentum buffers' names.
const MOMENTUM: &str = "momentum.";

/// All that the rest of a training depends on, beside its settings and data.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// Epochs done.
    pub epoch: u32,
    /// Parameters.
    pub params: Params,
    /// The optimizer's momentum buffers.
    pub momenta: Params,
    /// The learning curves so far.
    pub rows: Vec<TrainingRow>,
}

#[derive(Serialize, Deserialize)]
struct Progress {
    epoch: u32,
    /// As CSV, because `serde_json` may read a number to a neighbour of the one that was written.
    rows: String,
}

impl State {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let progress = Progress { epoch: self.epoch, rows: run::training_to_csv(&self.rows) };
        let progress = serde_json::to_string(&progress).expect("a number and a text");
        let momentum = |momentum: &Parameter| Parameter {
            name: format!("{MOMENTUM}{}", momentum.name),
            ..momentum.clone()
        };
        let momenta: Vec<_> = self.momenta.iter().map(momentum).collect();
        let body = tensors::to_bytes(self.params.iter().chain(&momenta), (PROGRESS, &progress));
        [Digest::of(&body).bytes().as_slice(), &body].concat()
    }

    /// Reads the bytes of a file; `None` if they are not whole, or not of this network.
    pub fn from_bytes(network: &Network, bytes: &[u8]) -> Option<Self> {
        let (digest, body) = bytes.split_first_chunk::<32>()?;
        if Digest::of(body).bytes() != digest {
            return None;
        }
        let progress: Progress = serde_json::from_str(&tensors::metadata(body, PROGRESS)?).ok()?;
        let (mut params, mut momenta) = (tensors::from_bytes(body).ok()?, Vec::new());
        for mut momentum in params.extract_if(.., |parameter| parameter.name.starts_with(MOMENTUM)) {
            momentum.name.drain(..MOMENTUM.len());
            momenta.push(momentum);
        }
        let rows = run::training_from_csv(&progress.rows).ok()?;
        let params = run::of_network(network, params, "state").ok()?;
        let momenta = run::of_network(network, momenta, "state").ok()?;
        Some(Self { epoch: progress.epoch, params, momenta, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::{Arch, Fcn};

    #[test]
    fn a_torn_file_is_no_state() {
        let network = Arch::Fcn(Fcn { depth: 2, width: 3 }).network([1, 2, 2], 2);
        let row = TrainingRow { epoch: 7, split: "test".into(), metric: "loss".into(), value: 0.1 + 0.2 };
        let (params, momenta) = (network.init(0), network.init(1));
        let state = State { epoch: 7, params, momenta, rows: vec![row] };
        let bytes = state.to_bytes();
        assert_eq!(State::from_bytes(&network, &bytes), Some(state));
        for torn in [&bytes[..bytes.len() - 1], &bytes[..40], &[]] {
            assert_eq!(State::from_bytes(&network, torn), None);
        }
        let mut flipped = bytes.clone();
        flipped[1000] ^= 1;
        assert_eq!(State::from_bytes(&network, &flipped), None);
        let other = Arch::Fcn(Fcn { depth: 2, width: 4 }).network([1, 2, 2], 2);
        assert_eq!(State::from_bytes(&other, &bytes), None);
    }
}
