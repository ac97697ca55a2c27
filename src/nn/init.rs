//! The distributions that initial values are drawn from.

use crate::base::rng::Stream;

/// A distribution of initial values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Distribution {
    /// Uniform in [−bound, bound).
    Uniform {
        /// Largest magnitude.
        bound: f64,
    },
    /// Normal around 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Zero.
    Zero,
    /// One.
    One,
}

impl Distribution {
    /// `U(−1/√fan_in, +1/√fan_in)`: PyTorch's default for dense layers and convolutions, weights and biases alike, and
    /// the study's for fully connected and residual networks.
    pub fn fan_in(fan_in: usize) -> Self {
        Self::Uniform { bound: 1.0 / (fan_in as f64).sqrt() }
    }

    /// Normal with variance `2 / (fan_in + fan_out)` (Glorot and Bengio): the study's for VGG.
    pub fn glorot(fan_in: usize, fan_out: usize) -> Self {
        Self::Normal { std: (2.0 / (fan_in + fan_out) as f64).sqrt() }
    }

    /// Normal with variance `2 / fan_out` (He et al.): torchvision's for residual networks.
    pub fn fan_out(fan_out: usize) -> Self {
        Self::Normal { std: (2.0 / fan_out as f64).sqrt() }
    }

    /// Draws `count` values.
    pub fn draw(self, stream: &mut Stream, count: usize) -> Vec<f32> {
        let mut draw = || match self {
            Self::Uniform { bound } => stream.uniform(-bound, bound) as f32,
            Self::Normal { std } => (std * stream.normal()) as f32,
            Self::Zero => 0.0,
            Self::One => 1.0,
        };
        (0..count).map(|_| draw()).collect()
    }
}
