//! The links that a network is a chain of: one file each.
//!
//! What goes from link to link is a batch: for each example, some channels at each position of a map, as a [`Matrix`] with a column
//! per channel and a row per position and example, position by position ([`Shape`]). [`Link`] is what a link is; [`Evaluate`] and
//! [`Train`] are what it is with values. A new link is a file with these three.

pub mod attention;
pub mod chain;
pub mod convolution;
pub mod dense;
pub mod flatten;
pub mod gelu;
pub mod layer_norm;
pub mod norm;
pub mod pool;
pub mod rectify;
pub mod residual;
pub mod sequence;
pub mod shortcut;
pub mod tokens;
pub mod transpose;
pub mod variable;

use std::fmt::Debug;

use candle_core::Tensor;

use crate::nn::init::Distribution;
use crate::nn::kernels::{Matrix, Path};
use crate::nn::links::variable::Variable;
use crate::nn::params::Parameter;

/// What an example is between two links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Numbers at each position.
    pub channels: usize,
    /// Height and width of the map; 1×1 where there is none.
    pub map: [usize; 2],
}

impl Shape {
    /// A plain vector.
    pub fn flat(channels: usize) -> Self {
        Self { channels, map: [1, 1] }
    }

    /// Positions of the map.
    pub fn positions(&self) -> usize {
        self.map[0] * self.map[1]
    }

    /// Numbers per example.
    pub fn count(&self) -> usize {
        self.channels * self.positions()
    }

    /// A batch of this shape, without examples yet.
    pub fn batch(&self) -> Matrix {
        Matrix::zeros(0, self.channels)
    }

    /// For [`Link::reference`]: examples × (channels × positions) as examples × positions × channels.
    pub fn rows(&self, maps: &Tensor) -> candle_core::Result<Tensor> {
        maps.reshape(((), self.channels, self.positions()))?.transpose(1, 2)?.contiguous()
    }

    /// The reverse.
    pub fn maps(&self, rows: &Tensor) -> candle_core::Result<Tensor> {
        rows.reshape(((), self.positions(), self.channels))?.transpose(1, 2)?.flatten_from(1)
    }

    /// Writes a batch of examples, each a row of channels × height × width, into a matrix of this shape.
    pub fn load(&self, rows: &[f32], batch: &mut Matrix) {
        let examples = rows.len() / self.count();
        batch.set_shape(self.positions() * examples, self.channels);
        let mut values = vec![0.0; self.channels];
        for (example, row) in rows.chunks_exact(self.count()).enumerate() {
            if self.positions() == 1 {
                batch.set_row(example, row);
                continue;
            }
            for position in 0..self.positions() {
                let channels = row[position..].iter().step_by(self.positions());
                values.iter_mut().zip(channels).for_each(|(value, channel)| *value = *channel);
                batch.set_row(position * examples + example, &values);
            }
        }
    }

    /// The reverse.
    pub fn unload(&self, batch: &Matrix, rows: &mut [f32]) {
        let examples = batch.rows() / self.positions();
        let mut values = vec![0.0; self.channels];
        for (example, row) in rows.chunks_exact_mut(self.count()).enumerate() {
            for position in 0..self.positions() {
                batch.copy_row(position * examples + example, &mut values);
                let channels = row[position..].iter_mut().step_by(self.positions());
                channels.zip(&values).for_each(|(channel, value)| *channel = *value);
            }
        }
    }
}

/// A tensor that a link owns, without values.
#[derive(Clone, PartialEq, Debug)]
pub struct TensorSpec {
    /// What it is within its layer: `weight`.
    pub name: String,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Where its initial values come from.
    pub distribution: Distribution,
}

/// What a link is: its sizes and its tensors, without values.
pub trait Link: Debug + Send + Sync {
    /// What comes in.
    fn input(&self) -> Shape;
    /// What goes out.
    fn output(&self) -> Shape;
    /// Whether a ReLU makes its output: then the gradient that it is given is already that before the ReLU.
    fn rectifies(&self) -> bool;
    /// Its tensors, in the order in which the other functions take them.
    fn tensors(&self) -> Vec<TensorSpec>;
    /// Packs values of its tensors for evaluation.
    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate>;
    /// What it does in evaluation, if that is to scale and shift each channel.
    fn affine(&self, _: &[&Parameter]) -> Option<Affine> {
        None
    }

    /// Its values with what follows it folded in, packed for evaluation; `None` if it cannot.
    fn evaluator_with(&self, _: &[&Parameter], _: &Affine, _: Path) -> Option<Box<dyn Evaluate>> {
        None
    }

    /// Packs values of its tensors for training.
    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train>;
    /// The same forward pass in candle's operations, whose derivatives are candle's: the reference for the kernels. Both sides are
    /// examples × (channels × height × width).
    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor>;
}

/// scale·x + shift of each channel, perhaps with a ReLU behind it. Both are matrices of one row.
#[derive(Clone, PartialEq, Debug)]
pub struct Affine {
    /// Factor of each channel.
    pub scale: Matrix,
    /// What is added to it.
    pub shift: Matrix,
    /// Whether negative numbers become 0.
    pub relu: bool,
}

/// A link with values, ready to be evaluated.
pub trait Evaluate: Send + Sync {
    /// Maps a batch to `output`, which is reshaped.
    ///
    /// Single-threaded. An example's output depends on its input only, bit for bit, however many examples there are.
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare);
}

/// Matrices that links between links use, kept from call to call.
#[derive(Default, Debug)]
pub struct Spare(Vec<Matrix>);

impl Spare {
    /// A matrix that nobody uses, of any size and content.
    pub fn take(&mut self) -> Matrix {
        self.0.pop().unwrap_or_default()
    }

    /// Gives one back.
    pub fn give(&mut self, matrix: Matrix) {
        self.0.push(matrix);
    }
}

/// A link with values, ready to be trained. Parallel within; the bits do not depend on the number of threads.
pub trait Train: Send {
    /// Maps a batch to `output`, which is reshaped: what [`Evaluate::forward`] does, but for norms, which here are of the batch; and the same
    /// bits, but for convolutions in tiles, which there are larger.
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare);
    /// Computes the gradients of the variables, and of the input if it is asked for.
    fn backward(&mut self, pass: Backward);
    /// Its tensors.
    fn variables(&self) -> Vec<&Variable>;
    /// Its tensors.
    fn variables_mut(&mut self) -> Vec<&mut Variable>;
}

/// What a backward pass through a link goes from and to.
#[derive(Debug)]
pub struct Backward<'a> {
    /// What the forward pass was given.
    pub input: &'a Matrix,
    /// How many examples that are.
    pub examples: usize,
    /// Gradient at the output; of a link that rectifies, before its ReLU.
    pub output_gradient: &'a Matrix,
    /// Gradient at the input, to be written.
    pub input_gradient: Option<InputGradient<'a>>,
    /// For what is needed only meanwhile: the gradients between links of this one.
    pub spare: &'a mut Spare,
}

/// The gradient at a link's input, to be written.
#[derive(Debug)]
pub struct InputGradient<'a> {
    /// Of the input's shape.
    pub out: &'a mut Matrix,
    /// Whether a ReLU made the input: then the gradient is 0 where the input is 0.
    pub rectified: bool,
}
