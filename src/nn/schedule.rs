//! Learning-rate schedules.

use serde::{Deserialize, Serialize};

/// How the learning rate changes from epoch to epoch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Multiplied by a factor when so many epochs are done (PyTorch's `MultiStepLR`).
    Steps(Steps),
}

/// A step schedule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// Epochs done when the learning rate changes.
    pub at: Vec<u32>,
    /// What it is multiplied by.
    pub factor: f64,
}

impl Schedule {
    /// The learning rate when `done` epochs are done.
    pub fn lr(&self, base: f64, done: u32) -> f64 {
        let Self::Steps(Steps { at, factor }) = self;
        at.iter().filter(|step| **step <= done).fold(base, |lr, _| lr * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_down_once_the_epochs_are_done() {
        let schedule = Schedule::Steps(Steps { at: vec![30, 60], factor: 0.5 });
        let lr = |done| schedule.lr(0.8, done);
        assert_eq!([lr(0), lr(29), lr(30), lr(59), lr(60), lr(99)], [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]);
    }
}
