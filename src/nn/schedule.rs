//! How the learning rate changes over epochs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::nn::problem::{self, Problem};

/// A schedule, as written in a pipeline file: `{ steps: { at: [30, 60, 90], factor: 0.2 } }`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The learning rate is multiplied at some epochs.
    Steps(Steps),
}

/// The learning rate is multiplied once so many epochs are done: PyTorch's `MultiStepLR`, stepped after each epoch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// After which epochs.
    pub at: Vec<u32>,
    /// By what.
    pub factor: f64,
}

impl Schedule {
    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<Problem> {
        let Self::Steps(Steps { factor, .. }) = self;
        let problem =
            Problem { path: "steps.factor", message: "it is not a positive number", hint: "try 0.2" };
        problem::first([(*factor > 0.0 && factor.is_finite(), problem)])
    }

    /// Learning rate in an epoch (the first is 1) of one that begins with `lr`.
    pub fn lr(&self, lr: f64, epoch: u32) -> f64 {
        let Self::Steps(steps) = self;
        steps.at.iter().filter(|at| **at < epoch).fold(lr, |lr, _| lr * steps.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_drops_once_the_epochs_are_done() {
        let schedule: Schedule =
            serde_json::from_str(r#"{"steps": {"at": [30, 60, 90], "factor": 0.2}}"#).unwrap();
        let rates = [1, 30, 31, 60, 61, 90, 91, 100].map(|epoch| schedule.lr(1.0, epoch));
        let drops = [0.2, 0.2 * 0.2, 0.2 * 0.2 * 0.2];
        assert_eq!(rates, [1.0, 1.0, drops[0], drops[0], drops[1], drops[1], drops[2], drops[2]]);
    }
}
