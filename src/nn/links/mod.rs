//! The links that a network is a chain of: one file each.
//!
//! A link takes and gives rows of `f32`, one per example. [`Link`] is what it is; [`Evaluate`] and [`Train`] are what it
//! is with values. A new link is a file with these three.

pub mod dense;
pub mod variable;

use std::fmt::Debug;

use candle_core::Tensor;

use crate::nn::init::Distribution;
use crate::nn::kernels::{Matrix, Path, View};
use crate::nn::links::variable::Variable;
use crate::nn::params::Parameter;

/// A tensor that a link owns, without values.
#[derive(Clone, PartialEq, Debug)]
pub struct TensorSpec {
    /// What it is within its layer: `weight`.
    pub name: &'static str,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Where its initial values come from.
    pub distribution: Distribution,
}

/// What a link is: its sizes and its tensors, without values.
pub trait Link: Debug + Send + Sync {
    /// Numbers per example that come in.
    fn inputs(&self) -> usize;
    /// Numbers per example that go out.
    fn outputs(&self) -> usize;
    /// Whether a ReLU makes its output: then the gradient that it is given is already that before the ReLU.
    fn rectifies(&self) -> bool;
    /// Its tensors, in the order in which the other functions take them.
    fn tensors(&self) -> Vec<TensorSpec>;
    /// Packs values of its tensors for evaluation.
    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate>;
    /// Packs values of its tensors for training.
    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train>;
    /// The same forward pass (rows × inputs to rows × outputs) in candle's operations, whose derivatives are candle's: the
    /// reference for the kernels.
    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor>;
}

/// A link with values, ready to be evaluated.
pub trait Evaluate: Send + Sync {
    /// Maps `input`, `rows` rows of [`Link::inputs`] numbers, to as many rows of [`Link::outputs`] numbers in `output`.
    ///
    /// Single-threaded. An output row depends on its input row only, bit for bit, however many rows there are.
    fn forward(&self, input: &[f32], rows: usize, output: &mut [f32]);
}

/// A link with values, ready to be trained. Parallel within; the bits do not depend on the number of threads.
pub trait Train: Send {
    /// Maps a batch (rows × inputs) to `output` (rows × outputs): the same bits as [`Evaluate::forward`].
    fn forward(&self, input: View, output: &mut Matrix);
    /// Computes the gradients of the variables, and of the input if it is asked for.
    fn backward(&mut self, pass: Backward);
    /// Its tensors.
    fn variables(&self) -> &[Variable];
    /// Its tensors.
    fn variables_mut(&mut self) -> &mut [Variable];
}

/// What a backward pass through a link goes from and to.
#[derive(Debug)]
pub struct Backward<'a> {
    /// What the forward pass was given: rows × inputs.
    pub input: View<'a>,
    /// Gradient at the output, rows × outputs; of a link that rectifies, before its ReLU.
    pub output_gradient: &'a Matrix,
    /// Gradient at the input, to be written.
    pub input_gradient: Option<InputGradient<'a>>,
}

/// The gradient at a link's input, to be written.
#[derive(Debug)]
pub struct InputGradient<'a> {
    /// Rows × inputs.
    pub out: &'a mut Matrix,
    /// The input, if a ReLU made it: the gradient is 0 where it is 0.
    pub rectified: Option<&'a Matrix>,
}
