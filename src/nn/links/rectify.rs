//! A ReLU alone: where no link stands before it that could take it in. No tensors.

use candle_core::Tensor;
use rayon::iter::{
    IndexedParallelIterator, IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelIterator,
};

use crate::nn::kernels::{Matrix, Path};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// Numbers that one task takes at least.
const TASK: usize = 1 << 14;

/// A ReLU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rectify(pub Shape);

impl Link for Rectify {
    fn input(&self) -> Shape {
        self.0
    }

    fn output(&self) -> Shape {
        self.0
    }

    fn rectifies(&self) -> bool {
        true
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    fn evaluator(&self, _: &[&Parameter], _: Path) -> Box<dyn Evaluate> {
        Box::new(Rectifier)
    }

    fn trainer(&self, _: &[&Parameter], _: Path) -> Box<dyn Train> {
        Box::new(Rectifier)
    }

    fn reference(&self, _: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        input.relu()
    }
}

struct Rectifier;

/// Not `max`, which would turn NaN into 0.
fn rectify(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

impl Evaluate for Rectifier {
    fn forward(&self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns());
        output.values_mut().iter_mut().zip(input.values()).for_each(|(out, value)| *out = rectify(*value));
    }
}

impl Train for Rectifier {
    fn forward(&mut self, input: &Matrix, _: usize, output: &mut Matrix) {
        output.set_shape(input.rows(), input.columns());
        let pairs = output.values_mut().par_iter_mut().with_min_len(TASK).zip(input.values().par_iter());
        pairs.for_each(|(out, value)| *out = rectify(*value));
    }

    /// The gradient that it is given is that before its ReLU already.
    fn backward(&mut self, pass: Backward) {
        let Backward { input, output_gradient, input_gradient, .. } = pass;
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            let pairs = input.values().par_iter().zip(output_gradient.values().par_iter());
            out.values_mut().par_iter_mut().with_min_len(TASK).zip(pairs).for_each(
                |(out, (value, gradient))| {
                    *out = if rectified && *value <= 0.0 { 0.0 } else { *gradient };
                },
            );
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        Vec::new()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        Vec::new()
    }
}
