//! Pooling: the largest of the numbers in a window, or their mean, for each channel. No tensors.

use candle_core::Tensor;

use crate::nn::kernels::{Matrix, Path, Pooling, Taps, Window, pool};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A pooling layer. What is beside the map is in no window: padding only lets windows begin there.
#[derive(Clone, PartialEq, Debug)]
pub struct Pool {
    /// What comes in.
    pub input: Shape,
    /// Size and stride.
    pub window: Window,
    /// What is taken of a window.
    pub pooling: Pooling,
}

impl Pool {
    /// The largest of each 2×2 window, side by side.
    pub fn halve(input: Shape) -> Self {
        let window = Window { kernel: [2, 2], stride: [2, 2], padding: [0, 0] };
        Self { input, window, pooling: Pooling::Largest }
    }

    /// The largest of each 3×3 window, at every second position.
    pub fn overlapping(input: Shape) -> Self {
        let window = Window { kernel: [3, 3], stride: [2, 2], padding: [1, 1] };
        Self { input, window, pooling: Pooling::Largest }
    }

    /// The mean over the whole map.
    pub fn global_mean(input: Shape) -> Self {
        let window = Window { kernel: input.map, stride: input.map, padding: [0, 0] };
        Self { input, window, pooling: Pooling::Mean }
    }

    fn taps(&self) -> Taps {
        Taps::new(self.input.map, &self.window)
    }
}

impl Link for Pool {
    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        Shape { channels: self.input.channels, map: self.window.output(self.input.map) }
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    fn evaluator(&self, _: &[&Parameter], _: Path) -> Box<dyn Evaluate> {
        Box::new(Evaluator { taps: self.taps(), pooling: self.pooling })
    }

    fn trainer(&self, _: &[&Parameter], _: Path) -> Box<dyn Train> {
        let taps = self.taps();
        Box::new(Trainer { flipped: taps.flipped(), taps, pooling: self.pooling, chosen: Vec::new() })
    }

    fn reference(&self, _: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let Window { kernel, stride, padding } = self.window;
        let map = self.window.output(self.input.map);
        let mut maps = input.reshape(((), self.input.channels, self.input.map[0], self.input.map[1]))?;
        for axis in [0, 1].into_iter().filter(|axis| padding[*axis] > 0) {
            assert_eq!(self.pooling, Pooling::Largest, "the mean of a window is of the map");
            let mut beside = maps.dims().to_vec();
            beside[2 + axis] = padding[axis];
            let beside = Tensor::full(f32::NEG_INFINITY, beside, maps.device())?;
            maps = Tensor::cat(&[&beside, &maps, &beside], 2 + axis)?;
        }
        let seen = |axis: usize, tap: usize| {
            Tensor::from_iter((0..map[axis]).map(|at| (at * stride[axis] + tap) as u32), maps.device())
        };
        let taps = (0..kernel[0] * kernel[1]).map(|tap| {
            let (rows, columns) = (seen(0, tap / kernel[1])?, seen(1, tap % kernel[1])?);
            maps.index_select(&rows, 2)?.index_select(&columns, 3)
        });
        // Not candle's pooling, whose gradient is too small by the size of the window.
        let windows = Tensor::stack(&taps.collect::<candle_core::Result<Vec<_>>>()?, 4)?;
        let output = match self.pooling {
            Pooling::Largest => windows.max(4)?,
            Pooling::Mean => windows.mean(4)?,
        };
        output.flatten_from(1)
    }
}

struct Evaluator {
    taps: Taps,
    pooling: Pooling,
}

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(self.taps.outputs() * examples, input.columns());
        pool::forward(self.pooling, &self.taps, input, output);
    }
}

struct Trainer {
    taps: Taps,
    flipped: Taps,
    pooling: Pooling,
    /// Which tap each number of the output is from.
    chosen: Vec<u8>,
}

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(self.taps.outputs() * examples, input.columns());
        pool::forward_to_train(self.pooling, &self.taps, input, output, &mut self.chosen);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, output_gradient, input_gradient, .. } = pass;
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            let mask = rectified.then_some(input);
            pool::backward(self.pooling, &self.flipped, output_gradient, &self.chosen, mask, out);
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        Vec::new()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        Vec::new()
    }
}
