//! Optimizers.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How values follow their gradients.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum, in PyTorch's form: g ← g + weight_decay·p, v ← momentum·v + g, p ← p − lr·v.
    Sgd(Sgd),
}

/// Parameters of stochastic gradient descent.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate before any schedule.
    pub lr: f64,
    /// How much of the previous step is kept, in [0, 1).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub momentum: f64,
    /// Pull towards zero, on all tensors.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight_decay: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// One step's update of a tensor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Update {
    lr: f32,
    momentum: f32,
    weight_decay: f32,
}

/// Numbers that one task updates.
const TASK: usize = 1 << 14;

impl Optimizer {
    /// The learning rate before any schedule.
    pub fn lr(&self) -> f64 {
        let Self::Sgd(sgd) = self;
        sgd.lr
    }

    /// The update at this learning rate.
    pub fn update(&self, lr: f64) -> Update {
        let Self::Sgd(Sgd { momentum, weight_decay, .. }) = self;
        Update { lr: lr as f32, momentum: *momentum as f32, weight_decay: *weight_decay as f32 }
    }
}

impl Update {
    /// Updates values and momentum in place.
    pub fn apply(&self, values: &mut [f32], gradients: &[f32], momentum: &mut [f32]) {
        let tasks =
            values.par_chunks_mut(TASK).zip(gradients.par_chunks(TASK)).zip(momentum.par_chunks_mut(TASK));
        tasks.for_each(|((values, gradients), momentum)| {
            for ((value, gradient), momentum) in values.iter_mut().zip(gradients).zip(momentum) {
                let gradient = gradient + self.weight_decay * *value;
                *momentum = self.momentum * *momentum + gradient;
                *value -= self.lr * *momentum;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_pytorch() {
        // p = torch.tensor([1., -2.], requires_grad=True)
        // o = torch.optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.01)
        // for _ in range(3): p.grad = torch.tensor([0.5, 0.25]); o.step()
        let sgd = Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.01 });
        let (mut values, mut momentum) = ([1.0_f32, -2.0], [0.0_f32; 2]);
        for _ in 0..3 {
            sgd.update(sgd.lr()).apply(&mut values, &[0.5, 0.25], &mut momentum);
        }
        let expected = [0.71413475_f32, -2.12891984];
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
    }
}
