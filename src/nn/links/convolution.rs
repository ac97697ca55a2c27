//! A convolution with zero padding, with or without a bias and a ReLU behind it.

use candle_core::Tensor;

use crate::nn::init::Distribution;
use crate::nn::kernels::convolution::{is_narrow, unfold, unfold_on_this_thread};
use crate::nn::kernels::{
    Convolution as Kernel, Finish, Matrix, Path, Taps, WeightGradient, Window, transpose_taps,
};
use crate::nn::links::variable::{Layout, Variable};
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
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
    fn taps(&self) -> Taps {
        Taps::new(self.input.map, &self.window)
    }

    /// The taps of a sum over an unfolded input, if the input has few channels.
    fn narrow(&self, taps: &Taps) -> Option<Taps> {
        is_narrow(self.input.channels, taps).then(|| Taps::single(taps.outputs()))
    }

    /// The bias that a link without one does not have.
    fn bias(&self, values: &[&Parameter]) -> Matrix {
        values.get(1).map_or_else(|| Matrix::zeros(1, self.channels), |bias| Layout::Row.pack(bias))
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
        let (weight, bias) = (Layout::Taps.pack(values[0]), self.bias(values));
        let taps = self.taps();
        Box::new(Evaluator { narrow: self.narrow(&taps), taps, weight, bias, relu: self.relu, path })
    }

    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train> {
        let taps = self.taps();
        Box::new(Trainer {
            flipped: taps.flipped(),
            weight: Variable::new(values[0], Layout::Taps),
            bias: values.get(1).map(|bias| Variable::new(bias, Layout::Row)),
            no_bias: Matrix::zeros(1, self.channels),
            transposed: Matrix::zeros(taps.count() * self.channels, self.input.channels),
            parts: Vec::new(),
            narrow: self.narrow(&taps),
            unfolded: Matrix::default(),
            taps,
            relu: self.relu,
            path,
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

struct Evaluator {
    taps: Taps,
    narrow: Option<Taps>,
    weight: Matrix,
    bias: Matrix,
    relu: bool,
    path: Path,
}

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        let Self { taps, narrow, weight, bias, relu, path } = self;
        output.set_shape(taps.outputs() * examples, weight.columns());
        let finish = Finish::Bias { bias, relu: *relu };
        let Some(narrow) = narrow else {
            Kernel { input, examples, taps, weight, finish, path: *path }.on_this_thread(output);
            return;
        };
        let mut unfolded = spare.take();
        unfold_on_this_thread(input, examples, taps, &mut unfolded);
        Kernel { input: &unfolded, examples, taps: narrow, weight, finish, path: *path }
            .on_this_thread(output);
        spare.give(unfolded);
    }
}

struct Trainer {
    taps: Taps,
    flipped: Taps,
    weight: Variable,
    bias: Option<Variable>,
    no_bias: Matrix,
    /// (taps·out)×in: the weight of the convolution that gives the gradient at the input.
    transposed: Matrix,
    /// Buffers of the weight's gradient.
    parts: Vec<Matrix>,
    /// For an input of few channels, which is unfolded.
    narrow: Option<Taps>,
    unfolded: Matrix,
    relu: bool,
    path: Path,
}

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix) {
        let Self { taps, narrow, unfolded, weight, bias, no_bias, relu, path, .. } = self;
        output.set_shape(taps.outputs() * examples, weight.value.columns());
        let bias = bias.as_ref().map_or(&*no_bias, |bias| &bias.value);
        let finish = Finish::Bias { bias, relu: *relu };
        let (input, taps) = match narrow {
            None => (input, &*taps),
            Some(narrow) => {
                unfold(input, examples, taps, unfolded);
                (&*unfolded, &*narrow)
            }
        };
        Kernel { input, examples, taps, weight: &weight.value, finish, path: *path }.into_panels(output);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, input_gradient } = pass;
        let Self { taps, flipped, narrow, unfolded, weight, bias, transposed, parts, path, .. } = self;
        let path = *path;
        // What the forward pass unfolded is still there.
        let (seen, sights) = narrow.as_ref().map_or((input, &*taps), |narrow| (&*unfolded, narrow));
        WeightGradient { input: seen, output_gradient, examples, taps: sights, path }
            .into(parts, &mut weight.gradient);
        if let Some(bias) = bias {
            output_gradient.sum_rows_into(&mut bias.gradient);
        }
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            transpose_taps(&weight.value, taps.count(), transposed);
            let finish = if rectified { Finish::Mask(input) } else { Finish::Store };
            Kernel { input: output_gradient, examples, taps: flipped, weight: transposed, finish, path }
                .into_panels(out);
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        [&self.weight].into_iter().chain(&self.bias).collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        [&mut self.weight].into_iter().chain(&mut self.bias).collect()
    }
}
