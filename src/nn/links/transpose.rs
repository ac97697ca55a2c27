//! Exchanges channels and positions of a map: what was a channel is a position. No tensors.

use candle_core::Tensor;

use crate::nn::kernels::{Matrix, Path, elementwise, tokens};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A transposition of each example.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transpose {
    /// What comes in.
    pub input: Shape,
    /// Height and width of the map that goes out: a position for each channel of the input.
    pub map: [usize; 2],
}

impl Link for Transpose {
    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        Shape { channels: self.input.positions(), map: self.map }
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    fn evaluator(&self, _: &[&Parameter], _: Path) -> Box<dyn Evaluate> {
        Box::new(Transposer(self.output()))
    }

    fn trainer(&self, _: &[&Parameter], _: Path) -> Box<dyn Train> {
        Box::new(Transposer(self.output()))
    }

    fn reference(&self, _: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let maps = input.reshape(((), self.input.channels, self.input.positions()))?;
        maps.transpose(1, 2)?.flatten_from(1)
    }
}

/// What goes out.
struct Transposer(Shape);

impl Evaluate for Transposer {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(self.0.positions() * examples, self.0.channels);
        tokens::transpose_on_this_thread(input, examples, output);
    }
}

impl Train for Transposer {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(self.0.positions() * examples, self.0.channels);
        tokens::transpose(input, examples, output);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, input_gradient, .. } = pass;
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            tokens::transpose(output_gradient, examples, out);
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
