//! The links that a network is a chain of: one file each.
//!
//! A link takes and gives flat rows of `f32`, one per example.

pub mod dense;

use std::fmt::Debug;

use crate::nn::init::Distribution;
use crate::nn::kernels::Path;
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
    /// Its tensors, in the order in which `evaluator` takes them.
    fn tensors(&self) -> Vec<Tensor>;
    /// Packs values of its tensors for evaluation.
    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate>;
}

/// A link with values, ready to be evaluated.
pub trait Evaluate: Send + Sync {
    /// Maps `input`, `rows` rows of [`Link::inputs`] numbers, to as many rows of [`Link::outputs`] numbers in `output`.
    ///
    /// Single-threaded. An output row depends on its input row only, bit for bit, however many rows there are.
    fn forward(&self, input: &[f32], rows: usize, output: &mut [f32]);
}
