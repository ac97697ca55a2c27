//! The links that a network is a chain of: one file each.
//!
//! A link takes and gives flat rows of `f32`, one per example. It has two lives: in evaluation it keeps nothing but its
//! packed values; in training it also keeps its output, and knows its gradient.

pub mod dense;

use std::fmt::Debug;

use crate::nn::init::Distribution;
use crate::nn::kernels::{Matrix, Path, View};
use crate::nn::optimizer::Update;
use crate::nn::params::Parameter;

/// A tensor that a link owns.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
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
    /// Its tensors, in the order in which `evaluator` and `learner` take them.
    fn tensors(&self) -> Vec<Tensor>;
    /// Packs values of its tensors for evaluation.
    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate>;
    /// Packs values of its tensors for training.
    fn learner(&self, values: &[&Parameter], path: Path) -> Box<dyn Learn>;
}

/// A link with values, ready to be evaluated.
pub trait Evaluate: Send + Sync {
    /// Maps `input`, `rows` rows of [`Link::inputs`] numbers, to as many rows of [`Link::outputs`] numbers in `output`.
    ///
    /// Single-threaded. An output row depends on its input row only, bit for bit, however many rows there are.
    fn forward(&self, input: &[f32], rows: usize, output: &mut [f32]);
}

/// A link in training: values, their gradients, and what the optimizer remembers of them.
///
/// Works in parallel on the current pool; its results do not depend on the number of threads.
pub trait Learn: Send {
    /// Computes the output of a batch, and keeps it.
    fn forward(&mut self, input: View<'_>);
    /// The output of the latest batch.
    fn output(&self) -> &Matrix;
    /// Where a gradient of the output passes on to what precedes a final ReLU: where this is positive. `None` for everywhere.
    fn gate(&self) -> Option<&Matrix>;
    /// From the gradient of what precedes a final ReLU, computes the gradients of the values; and the gradient of the input if
    /// it is asked for, as far as it passes through the gate of the link before.
    fn backward(&mut self, input: View<'_>, gradient: &Matrix, below: Option<Below<'_>>);
    /// Updates the values by their gradients.
    fn update(&mut self, update: &Update);
    /// Copies of the tensors' values, and of their momentum, each in the order of [`Link::tensors`] and in PyTorch's layout.
    fn tensors(&self) -> [Vec<Vec<f32>>; 2];
    /// Puts momentum back, as [`Learn::tensors`] gave it.
    fn set_momentum(&mut self, momentum: &[&Parameter]);
    /// Copies of the gradients of the latest batch, likewise.
    fn gradients(&self) -> Vec<Vec<f32>>;
}

/// What the link below needs of a backward pass.
pub struct Below<'a> {
    /// Takes the gradient of its output.
    pub gradient: &'a mut Matrix,
    /// Its [`Learn::gate`].
    pub gate: Option<&'a Matrix>,
}
