//! A Gaussian error linear unit: x·Φ(x), with Φ the normal distribution function. No tensors.

use candle_core::Tensor;

use crate::nn::kernels::{Matrix, Path, elementwise, gelu};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A Gaussian error linear unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gelu(pub Shape);

impl Link for Gelu {
    fn input(&self) -> Shape {
        self.0
    }

    fn output(&self) -> Shape {
        self.0
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    fn evaluator(&self, _: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        Box::new(Unit(path))
    }

    fn trainer(&self, _: &[&Parameter], path: Path) -> Box<dyn Train> {
        Box::new(Unit(path))
    }

    fn reference(&self, _: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        input.gelu_erf()
    }
}

struct Unit(Path);

impl Evaluate for Unit {
    fn forward(&self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns());
        gelu::forward_on_this_thread(input, self.0, output);
    }
}

impl Train for Unit {
    fn forward(&mut self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns());
        gelu::forward(input, self.0, output);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, output_gradient, input_gradient, .. } = pass;
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            gelu::backward(input, output_gradient, self.0, out);
            if rectified {
                elementwise::mask(out, input);
            }
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        Vec::new()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        Vec::new()
    }
}
