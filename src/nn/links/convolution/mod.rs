//! A convolution with zero padding, with or without a bias and a ReLU behind it.
//!
//! How it is computed depends on its shape only: tap by tap, or in tiles where that takes fewer multiplications. The tiles of evaluation
//! may be larger than those of training, and so the outputs differ in the last bits.

mod tapped;
mod tiled;

use std::cell::Cell;

use candle_core::Tensor;

use crate::nn::init::Distribution;
use crate::nn::kernels::{Finish, Matrix, Path, Tiles, Window, norm};
use crate::nn::links::variable::{Layout, Variable};
use crate::nn::links::{Affine, Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A convolution.
#[derive(Clone, PartialEq, Debug)]
pub struct Convolution {
    /// What comes in.
    pub input: Shape,
    /// Channels that go out.
    pub channels: usize,
    /// Size, stride and padding.
    pub window: Window,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Where the weight's initial values come from.
    pub weight: Distribution,
    /// Likewise the bias's, if there is one.
    pub bias: Option<Distribution>,
}

impl Convolution {
    /// Channels that come in, and that go out.
    fn widths(&self) -> [usize; 2] {
        [self.input.channels, self.channels]
    }

    /// Weight and bias for the kernels. A bias that is not there is zero.
    fn pack(&self, values: &[&Parameter]) -> [Matrix; 2] {
        let none = || Matrix::zeros(1, self.channels);
        [Layout::Taps.pack(values[0]), values.get(1).map_or_else(none, |bias| Layout::Row.pack(bias))]
    }

    fn packed_evaluator(&self, weight: Matrix, finishing: Finishing) -> Box<dyn Evaluate> {
        match Tiles::for_evaluation(self.input.map, &self.window, self.widths()) {
            Some(tiles) => Box::new(tiled::Evaluator::new(tiles, &weight, finishing)),
            None => Box::new(tapped::Evaluator::new(self, weight, finishing)),
        }
    }
}

impl Link for Convolution {
    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        Shape { channels: self.channels, map: self.window.output(self.input.map) }
    }

    fn rectifies(&self) -> bool {
        self.relu
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        let tensor = |name: &str, shape, distribution| TensorSpec { name: name.into(), shape, distribution };
        let [height, width] = self.window.kernel;
        let mut tensors =
            vec![tensor("weight", vec![self.channels, self.input.channels, height, width], self.weight)];
        tensors.extend(self.bias.map(|bias| tensor("bias", vec![self.channels], bias)));
        tensors
    }

    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        let [weight, bias] = self.pack(values);
        self.packed_evaluator(weight, Finishing { bias, relu: self.relu, path })
    }

    fn evaluator_with(&self, values: &[&Parameter], next: &Affine, path: Path) -> Option<Box<dyn Evaluate>> {
        if self.relu {
            return None;
        }
        let [mut weight, mut bias] = self.pack(values);
        for matrix in [&mut weight, &mut bias] {
            norm::scale_columns(&next.scale, matrix);
        }
        bias.values_mut().iter_mut().zip(next.shift.values()).for_each(|(bias, shift)| *bias += shift);
        Some(self.packed_evaluator(weight, Finishing { bias, relu: next.relu, path }))
    }

    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train> {
        let tiles = Tiles::for_training(self.input.map, &self.window, self.widths());
        let method: Box<dyn Method> = match tiles {
            Some(tiles) => Box::new(tiled::Tiled::new(self, tiles, path)),
            None => Box::new(tapped::Tapped::new(self, path)),
        };
        Box::new(Trainer {
            weight: Variable::new(values[0], Layout::Taps),
            bias: values.get(1).map(|bias| Variable::new(bias, Layout::Row)),
            no_bias: Matrix::zeros(1, self.channels),
            relu: self.relu,
            method,
        })
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let [height, width] = self.input.map;
        let ([stride, other_stride], [padding, other_padding]) = (self.window.stride, self.window.padding);
        assert!(
            stride == other_stride && padding == other_padding,
            "candle's convolutions are the same both ways"
        );
        let input = input.reshape(((), self.input.channels, height, width))?;
        let mut output = input.conv2d(values[0], padding, stride, 1, 1)?;
        if let Some(bias) = values.get(1) {
            output = output.broadcast_add(&bias.reshape((1, self.channels, 1, 1))?)?;
        }
        let output = output.flatten_from(1)?;
        if self.relu { output.relu() } else { Ok(output) }
    }
}

/// What happens to the sums in evaluation.
struct Finishing {
    bias: Matrix,
    relu: bool,
    path: Path,
}

impl Finishing {
    fn finish(&self) -> Finish<'_> {
        Finish::Bias { bias: &self.bias, relu: self.relu }
    }
}

/// A way to compute a convolution and its gradients. The weight is (taps·channels)×outputs, tap by tap; matrices that are
/// written are reshaped.
trait Method: Send {
    fn forward(&mut self, weight: &Matrix, input: &Matrix, examples: usize, finish: Finish, out: &mut Matrix);
    /// Comes after the forward pass of the same input.
    fn weight_gradient(
        &mut self,
        input: &Matrix,
        output_gradient: &Matrix,
        examples: usize,
        out: &mut Matrix,
    );
    fn input_gradient(
        &mut self,
        weight: &Matrix,
        output_gradient: &Matrix,
        examples: usize,
        finish: Finish,
        out: &mut Matrix,
    );
}

/// Memory that convolutions use one after the other.
#[derive(Default)]
struct Work {
    /// (taps·out)×in: the weight of the convolution that gives the gradient at the input.
    transposed: Matrix,
    /// A weight, transformed for tiles.
    transformed: Matrix,
    /// Sums of the weight's gradient.
    parts: Vec<Matrix>,
}

impl Work {
    /// Lends this thread's. It is taken away meanwhile: a thread that waits for others may be given another convolution.
    fn lend(call: impl FnOnce(&mut Self)) {
        thread_local! {
            static WORK: Cell<Work> = Cell::default();
        }
        let mut work = WORK.take();
        call(&mut work);
        WORK.set(work);
    }
}

struct Trainer {
    weight: Variable,
    bias: Option<Variable>,
    no_bias: Matrix,
    relu: bool,
    method: Box<dyn Method>,
}

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        let Self { weight, bias, no_bias, relu, method } = self;
        let bias = bias.as_ref().map_or(&*no_bias, |bias| &bias.value);
        method.forward(&weight.value, input, examples, Finish::Bias { bias, relu: *relu }, output);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, input_gradient, .. } = pass;
        let Self { weight, bias, method, .. } = self;
        if !weight.is_fixed() {
            method.weight_gradient(input, output_gradient, examples, &mut weight.gradient);
            if let Some(bias) = bias {
                output_gradient.sum_rows_into(&mut bias.gradient);
            }
        }
        if let Some(InputGradient { out, rectified }) = input_gradient {
            let finish = if rectified { Finish::Mask(input) } else { Finish::Store };
            method.input_gradient(&weight.value, output_gradient, examples, finish, out);
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        [&self.weight].into_iter().chain(&self.bias).collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        [&mut self.weight].into_iter().chain(&mut self.bias).collect()
    }
}
