//! A map as a plain vector: all positions of the first channel, then those of the second, as PyTorch has it. No tensors.
//!
//! On one thread: it moves each number once, between links that multiply it with thousands.

use candle_core::Tensor;

use crate::nn::kernels::{Matrix, Path, elementwise};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A map of this shape as a vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flatten(pub Shape);

impl Link for Flatten {
    fn input(&self) -> Shape {
        self.0
    }

    fn output(&self) -> Shape {
        Shape::flat(self.0.count())
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    fn evaluator(&self, _: &[&Parameter], _: Path) -> Box<dyn Evaluate> {
        Box::new(*self)
    }

    fn trainer(&self, _: &[&Parameter], _: Path) -> Box<dyn Train> {
        Box::new(*self)
    }

    fn reference(&self, _: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        Ok(input.clone())
    }
}

impl Evaluate for Flatten {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        let (positions, channels) = (self.0.positions(), self.0.channels);
        let (mut at_position, mut row) = (vec![0.0; channels], vec![0.0; self.0.count()]);
        output.set_shape(examples, self.0.count());
        for example in 0..examples {
            for position in 0..positions {
                input.copy_row(position * examples + example, &mut at_position);
                let places = row[position..].iter_mut().step_by(positions);
                places.zip(&at_position).for_each(|(place, value)| *place = *value);
            }
            output.set_row(example, &row);
        }
    }
}

impl Train for Flatten {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        Evaluate::forward(self, input, examples, output, spare);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, output_gradient, input_gradient, .. } = pass;
        if let Some(InputGradient { out, rectified }) = input_gradient {
            self.0.load(&output_gradient.to_rows(), out);
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
