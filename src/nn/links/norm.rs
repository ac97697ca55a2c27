//! Batch normalisation (Ioffe and Szegedy), with or without a ReLU behind it: y = γ·(x − mean)/√(variance + ε) + β.
//!
//! Mean and variance are of the batch in training, and running means of those in evaluation. The running ones are tensors of the
//! layer: a checkpoint holds them, and a reset overwrites them. Where they are fixed, a pass that computes gradients uses them as well.

use candle_core::Tensor;

use crate::nn::init::Distribution;
use crate::nn::kernels::{Matrix, Path, norm};
use crate::nn::links::variable::{Layout, Variable};
use crate::nn::links::{Affine, Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// PyTorch's default.
const EPSILON: f32 = 1e-5;
/// Weight of the newest batch in the running means: PyTorch's default.
pub const NEWEST: f32 = 0.1;

/// Batch normalisation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchNorm {
    /// What comes in and goes out.
    pub shape: Shape,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Link for BatchNorm {
    fn input(&self) -> Shape {
        self.shape
    }

    fn output(&self) -> Shape {
        self.shape
    }

    fn rectifies(&self) -> bool {
        self.relu
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        let values = [
            ("weight", Distribution::One),
            ("bias", Distribution::Zero),
            ("running_mean", Distribution::Zero),
            ("running_var", Distribution::One),
        ];
        let shape = || vec![self.shape.channels];
        values
            .map(|(name, distribution)| TensorSpec { name: name.into(), shape: shape(), distribution })
            .into()
    }

    fn affine(&self, values: &[&Parameter]) -> Option<Affine> {
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| Layout::Row.pack(values[i]));
        let (mut scale, mut shift) = (gamma.clone(), gamma.clone());
        fold([&gamma, &beta, &mean, &variance], &mut scale, &mut shift);
        Some(Affine { scale, shift, relu: self.relu })
    }

    fn evaluator(&self, values: &[&Parameter], _: Path) -> Box<dyn Evaluate> {
        Box::new(self.affine(values).expect("in evaluation a norm is no more than that"))
    }

    fn trainer(&self, values: &[&Parameter], _: Path) -> Box<dyn Train> {
        let row = || Matrix::zeros(1, self.shape.channels);
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| values[i]);
        Box::new(Trainer {
            variables: [
                Variable::new(gamma, Layout::Row),
                Variable::new(beta, Layout::Row),
                Variable::statistic(mean, Layout::Row),
                Variable::statistic(variance, Layout::Row),
            ],
            mean: row(),
            variance: row(),
            scratch: [row(), row(), row()],
            relu: self.relu,
        })
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let (channels, positions) = (self.shape.channels, self.shape.positions());
        let input = input.reshape(((), channels, positions))?;
        let mean = |x: &Tensor| x.mean_keepdim(0)?.mean_keepdim(2);
        let centred = input.broadcast_sub(&mean(&input)?)?;
        let deviation = (mean(&centred.sqr()?)? + f64::from(EPSILON))?.sqrt()?;
        let row = |tensor: &Tensor| tensor.reshape((1, channels, 1));
        let normal = centred.broadcast_div(&deviation)?;
        let output =
            normal.broadcast_mul(&row(values[0])?)?.broadcast_add(&row(values[1])?)?.flatten_from(1)?;
        if self.relu { output.relu() } else { Ok(output) }
    }
}

/// Writes scale = γ/√(variance + ε) and shift = β − mean·scale. Padding becomes 0, because γ and β are 0 there.
fn fold([gamma, beta, mean, variance]: [&Matrix; 4], scale: &mut Matrix, shift: &mut Matrix) {
    let given = gamma.values().iter().zip(beta.values()).zip(mean.values().iter().zip(variance.values()));
    let wanted = scale.values_mut().iter_mut().zip(shift.values_mut());
    for ((scale, shift), ((gamma, beta), (mean, variance))) in wanted.zip(given) {
        *scale = gamma / (variance + EPSILON).sqrt();
        *shift = beta - mean * *scale;
    }
}

impl Evaluate for Affine {
    fn forward(&self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns());
        norm::apply(&self.scale, &self.shift, self.relu, input, output);
    }
}

struct Trainer {
    /// γ, β, running mean, running variance.
    variables: [Variable; 4],
    /// Of the latest batch.
    mean: Matrix,
    variance: Matrix,
    scratch: [Matrix; 3],
    relu: bool,
}

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        let Self { variables: [gamma, beta, running_mean, running_variance], mean, variance, scratch, relu } =
            self;
        let is_fixed = running_mean.is_fixed();
        if is_fixed {
            mean.values_mut().copy_from_slice(running_mean.value.values());
            variance.values_mut().copy_from_slice(running_variance.value.values());
        } else {
            norm::moments(input, mean, variance);
        }
        let [scale, shift, _] = scratch;
        fold([&gamma.value, &beta.value, mean, variance], scale, shift);
        output.set_shape(input.rows(), input.columns());
        norm::apply_to_train(scale, shift, *relu, input, output);
        if is_fixed {
            return;
        }
        // The running variance is of the estimate without bias, as in PyTorch.
        let count = input.rows() as f32;
        for (running, newest, factor) in
            [(running_mean, &*mean, 1.0), (running_variance, &*variance, count / (count - 1.0).max(1.0))]
        {
            let values = running.value.values_mut().iter_mut().zip(newest.values());
            values.for_each(|(running, newest)| *running += NEWEST * (newest * factor - *running));
        }
    }

    /// With x̂ = (x − mean)/d, d = √(variance + ε), over n rows: dβ = Σ g, dγ = Σ g·x̂, dx = γ/d·(g − dβ/n − x̂·dγ/n).
    fn backward(&mut self, pass: Backward) {
        let Backward { input, output_gradient, input_gradient, .. } = pass;
        let Self { variables: [gamma, beta, running_mean, _], mean, variance, scratch, .. } = self;
        // What is fixed is as if of endlessly many rows: none of them moves it.
        let count = if running_mean.is_fixed() { f32::INFINITY } else { input.rows() as f32 };
        norm::gradient_sums(input, mean, output_gradient, &mut beta.gradient, &mut gamma.gradient);
        let [a, b, c] = scratch;
        for channel in 0..mean.values().len() {
            let inverse = 1.0 / (variance.values()[channel] + EPSILON).sqrt();
            let of_gamma = &mut gamma.gradient.values_mut()[channel];
            *of_gamma *= inverse;
            let factor = gamma.value.values()[channel] * inverse;
            a.values_mut()[channel] = factor;
            b.values_mut()[channel] = -factor * inverse * *of_gamma / count;
            c.values_mut()[channel] = -factor * beta.gradient.values()[channel] / count;
        }
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            norm::input_gradient([&*a, &*b, &*mean, &*c], input, output_gradient, rectified, out);
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        self.variables.iter().collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        self.variables.iter_mut().collect()
    }
}
