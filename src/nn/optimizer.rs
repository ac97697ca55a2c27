//! Optimizers: from gradients to steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::nn::problem::{self, Problem};

/// An optimizer, as written in a pipeline file: `{ sgd: { lr: 0.01, momentum: 0.9 } }`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

/// Stochastic gradient descent, in PyTorch's order: g += decay·p; buffer = momentum·buffer + g; p −= lr·buffer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate, before the schedule.
    pub lr: f64,
    /// How much of the last step is in the next.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub momentum: f64,
    /// How much of the value is added to the gradient.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight_decay: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Optimizer {
    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<Problem> {
        let Self::Sgd(sgd) = self;
        let lr = Problem { path: "sgd.lr", message: "it is not a positive number", hint: "try 0.01" };
        let momentum = Problem {
            path: "sgd.momentum",
            message: "it is not from 0 up to, but not including, 1",
            hint: "try 0.9",
        };
        let weight_decay = Problem {
            path: "sgd.weight_decay",
            message: "it is negative, or no number",
            hint: "leave it out for none",
        };
        problem::first([
            (sgd.lr > 0.0 && sgd.lr.is_finite(), lr),
            ((0.0..1.0).contains(&sgd.momentum), momentum),
            (sgd.weight_decay >= 0.0 && sgd.weight_decay.is_finite(), weight_decay),
        ])
    }

    /// Learning rate, before the schedule.
    pub fn lr(&self) -> f64 {
        let Self::Sgd(sgd) = self;
        sgd.lr
    }

    /// The same with another learning rate.
    #[must_use]
    pub fn with_lr(&self, lr: f64) -> Self {
        let Self::Sgd(sgd) = self;
        Self::Sgd(Sgd { lr, ..sgd.clone() })
    }

    /// What to do with each gradient, at a learning rate that the schedule says.
    pub fn update(&self, lr: f64) -> Update {
        let Self::Sgd(sgd) = self;
        Update { lr: lr as f32, momentum: sgd.momentum as f32, weight_decay: sgd.weight_decay as f32 }
    }
}

/// One step of SGD.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Update {
    lr: f32,
    momentum: f32,
    weight_decay: f32,
}

impl Update {
    /// Makes the step, on parts of a variable that belong together. Momenta are 0 before the first step.
    pub fn apply(&self, values: &mut [f32], momenta: &mut [f32], gradients: &[f32]) {
        for ((value, momentum), gradient) in values.iter_mut().zip(momenta).zip(gradients) {
            *momentum = self.momentum * *momentum + (gradient + self.weight_decay * *value);
            *value -= self.lr * *momentum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_not_written() {
        let text = r#"{"sgd":{"lr":0.01}}"#;
        let optimizer: Optimizer = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&optimizer).unwrap(), text);
        assert!(serde_json::from_str::<Optimizer>(r#"{"sgd":{"lr":0.01,"nesterov":true}}"#).is_err());
    }

    /// Two steps by hand: p=1, g=0.5, lr=0.1, momentum=0.9, decay=0.2.
    #[test]
    fn order_is_that_of_pytorch() {
        let update = Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.2 }).update(0.1);
        let (mut value, mut momentum) = ([1.0_f32], [0.0_f32]);
        update.apply(&mut value, &mut momentum, &[0.5]);
        assert!((value[0] - 0.93).abs() < 1e-6 && (momentum[0] - 0.7).abs() < 1e-6);
        update.apply(&mut value, &mut momentum, &[0.5]);
        assert!((momentum[0] - 1.316).abs() < 1e-6 && (value[0] - 0.7984).abs() < 1e-6);
    }
}
