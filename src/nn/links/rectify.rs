//! A ReLU alone: where no link stands before it that could take it in. No tensors.

use candle_core::Tensor;

use crate::nn::kernels::{Matrix, Path, elementwise};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

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

impl Evaluate for Rectifier {
    fn forward(&self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns());
        elementwise::rectify_on_this_thread(input, output);
    }
}

impl Train for Rectifier {
    fn forward(&mut self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns());
        elementwise::rectify(input, output);
    }

    /// The gradient that it is given is that before its ReLU already.
    fn backward(&mut self, pass: Backward) {
        let Backward { input, output_gradient, input_gradient, .. } = pass;
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            elementwise::copy_gradient(output_gradient, rectified.then_some(input), out);
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        Vec::new()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        Vec::new()
    }
}
