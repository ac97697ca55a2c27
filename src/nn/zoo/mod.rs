//! The models: one file each, and a line in [`Arch`].

mod fcn;
mod vgg;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use fcn::Fcn;
pub use vgg::Vgg;

use crate::nn::network::Network;
use crate::nn::problem::Problem;

/// An architecture, as written in a pipeline file: `{ fcn: { depth: 3, width: 256 } }`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Arch {
    /// Fully connected.
    Fcn(Fcn),
    /// Convolutions, for small images.
    Vgg(Vgg),
}

impl Arch {
    /// A short name: `fcn3x256`.
    pub fn name(&self) -> String {
        match self {
            Self::Fcn(fcn) => fcn.name(),
            Self::Vgg(vgg) => vgg.name(),
        }
    }

    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<Problem> {
        match self {
            Self::Fcn(fcn) => fcn.problem(),
            Self::Vgg(vgg) => vgg.problem(),
        }
    }

    /// Builds the network for examples of this shape (channels, height, width) and this many classes.
    pub fn network(&self, shape: [usize; 3], classes: usize) -> Network {
        match self {
            Self::Fcn(fcn) => fcn.network(shape, classes),
            Self::Vgg(vgg) => vgg.network(shape, classes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_pipeline_file_says() {
        let arch: Arch = serde_json::from_str(r#"{"fcn": {"depth": 3, "width": 256}}"#).unwrap();
        assert_eq!(arch.name(), "fcn3x256");
        assert!(
            serde_json::from_str::<Arch>(r#"{"fcn": {"depth": 3, "width": 256, "dropout": 0}}"#).is_err()
        );
        assert!(serde_json::from_str::<Arch>(r#"{"mlp": {}}"#).is_err());
    }
}
