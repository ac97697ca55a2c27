//! Self-attention of several heads: of each, softmax(q·kᵀ/√d)·v over the positions of an example. No tensors: queries, keys and values
//! come in side by side, from a dense layer.

use candle_core::{D, Tensor};

use crate::nn::kernels::{Matrix, Path, attention::Attention as Kernel, elementwise};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// Self-attention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attention {
    /// What goes out; three times as many channels come in.
    pub output: Shape,
    /// Heads side by side, each with its share of the channels.
    pub heads: usize,
}

impl Attention {
    fn kernel(&self, path: Path) -> Kernel {
        let Shape { channels, .. } = self.output;
        Kernel { positions: self.output.positions(), heads: self.heads, depth: channels / self.heads, path }
    }
}

impl Link for Attention {
    fn input(&self) -> Shape {
        Shape { channels: 3 * self.output.channels, ..self.output }
    }

    fn output(&self) -> Shape {
        self.output
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    fn evaluator(&self, _: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        Box::new(Heads(self.kernel(path)))
    }

    fn trainer(&self, _: &[&Parameter], path: Path) -> Box<dyn Train> {
        Box::new(Heads(self.kernel(path)))
    }

    fn reference(&self, _: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let (positions, depth) = (self.output.positions(), self.output.channels / self.heads);
        let rows = self.input().rows(input)?.reshape(((), positions, 3, self.heads, depth))?;
        let part = |which| rows.narrow(2, which, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let scores = (queries.matmul(&keys.t()?.contiguous()?)? / (depth as f64).sqrt())?;
        let output = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&values)?;
        self.output.maps(&output.transpose(1, 2)?.flatten_from(2)?)
    }
}

struct Heads(Kernel);

impl Evaluate for Heads {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns() / 3);
        self.0.forward_on_this_thread(input, examples, output);
        output.clear_padding();
    }
}

impl Train for Heads {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns() / 3);
        self.0.forward(input, examples, output);
        output.clear_padding();
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, input_gradient, .. } = pass;
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            self.0.backward(input, examples, output_gradient, out);
            out.clear_padding();
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
