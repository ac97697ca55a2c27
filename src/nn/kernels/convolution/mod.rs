//! Convolutions, as sums of plain matrix products.
//!
//! A batch of maps is a matrix of positions·examples rows and a column per channel, position by position: what an output
//! position needs of an input position are neighbouring rows, for all examples at once. No patches are copied, and
//! neither strides nor padding cost anything.
//!
//! The weight has taps·channels rows, tap by tap, and a column per output channel. A sum runs over the taps, and for
//! each over the channels, in this order.
//!
//! The gradient at the input is a convolution too: of the gradient at the output, with flipped taps and a transposed
//! weight.

mod taps;
mod transpose;
mod unfold;
mod weight_gradient;

use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::matrix::{self, Matrix, PANEL};
use crate::nn::kernels::tile::{self, Begin, Strided, Terms};
use crate::nn::kernels::{Finish, Path};

pub use taps::{Taps, Window};
pub use transpose::transpose_taps;
pub use unfold::{is_narrow, unfold, unfold_on_this_thread};
pub use weight_gradient::WeightGradient;
pub(in crate::nn::kernels) use weight_gradient::{Outer, Share, groups, pieces, sum_parts};

/// A task has at least so many multiplications: a few microseconds.
const TASK: usize = 1 << 19;
/// Pairs of a tap and a strip of channels that are summed before the next rows: their weights stay in the second cache.
const GROUP: usize = 16;
/// An input of so many numbers (8 MiB) is not in the near caches when it is needed.
const FAR: usize = 1 << 21;

/// A convolution to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// Input positions · examples rows, a column per channel.
    pub input: &'a Matrix,
    /// Number of examples.
    pub examples: usize,
    /// What each output position sees.
    pub taps: &'a Taps,
    /// Taps · channels rows, a column per output channel.
    pub weight: &'a Matrix,
    /// What happens to each sum.
    pub finish: Finish<'a>,
    /// The instructions to use.
    pub path: Path,
}

impl Convolution<'_> {
    /// Computes it into panels (output positions · examples rows), in parallel.
    pub fn into_panels(&self, out: &mut Matrix) {
        let Some(rows) = self.check(out) else { return };
        let positions = (TASK / (self.weight.rows() * PANEL * self.examples)).max(1);
        out.values_mut().par_chunks_mut(PANEL * rows).enumerate().for_each(|(panel, values)| {
            let width = values.len() / rows;
            let blocks = values.par_chunks_mut(self.examples * width).with_min_len(positions);
            blocks.enumerate().for_each(|(position, out)| self.block(panel, position, out, width));
        });
    }

    /// Computes the same bits on this thread.
    pub fn on_this_thread(&self, out: &mut Matrix) {
        let Some(rows) = self.check(out) else { return };
        for (panel, values) in out.values_mut().chunks_mut(PANEL * rows).enumerate() {
            let width = values.len() / rows;
            for (position, out) in values.chunks_mut(self.examples * width).enumerate() {
                self.block(panel, position, out, width);
            }
        }
    }

    /// Number of rows of the result, if there is something to compute.
    fn check(&self, out: &Matrix) -> Option<usize> {
        let rows = self.taps.outputs() * self.examples;
        assert_eq!(self.taps.inputs() * self.examples, self.input.rows(), "rows of a convolution's input");
        assert_eq!(self.taps.count() * self.input.columns(), self.weight.rows(), "rows of its weight");
        assert_eq!((rows, self.weight.columns()), (out.rows(), out.columns()), "shape of its result");
        (rows > 0).then_some(rows)
    }

    /// Computes a position of a panel.
    fn block(&self, panel: usize, position: usize, out: &mut [f32], width: usize) {
        let count = self.taps.of(position).len() * self.input.columns().div_ceil(PANEL);
        if self.input.values().len() >= FAR {
            self.fetch(position);
        }
        for first in (0..count.max(1)).step_by(GROUP) {
            let range = first..count.min(first + GROUP);
            let begin = if first == 0 { Begin::Zero } else { Begin::There };
            let last = range.end == count;
            let terms = Group { convolution: self, panel, position, range, last };
            tile::sum(&terms, begin, self.path, out, width);
        }
    }

    /// Reads the last input position that an output position sees, from end to end.
    ///
    /// As output positions come in ascending order, no other has seen it before. The machine reads ahead of such a pass,
    /// but not so well ahead of the tiles, which go from tap to tap.
    fn fetch(&self, position: usize) {
        let Some(last) = self.taps.of(position).iter().map(|sight| sight.position).max() else { return };
        for strip in 0..self.input.columns().div_ceil(PANEL) {
            let (values, stride, _) = self.input.strip(strip);
            matrix::fetch(&values[last * self.examples * stride..][..self.examples * stride]);
        }
    }
}

/// Some terms of an output position; a term is a pair of a tap and a strip of channels.
struct Group<'a> {
    convolution: &'a Convolution<'a>,
    panel: usize,
    position: usize,
    range: Range<usize>,
    last: bool,
}

impl Terms for Group<'_> {
    #[inline(always)]
    fn add<const FMA: bool, const R: usize, const C: usize>(
        &self,
        mut sums: [[f32; C]; R],
        row: usize,
        column: usize,
    ) -> [[f32; C]; R] {
        let Convolution { input, examples, taps, weight, .. } = self.convolution;
        let (sights, channels) = (taps.of(self.position), input.columns());
        let (weight, width) = weight.panel(self.panel);
        let strips = channels.div_ceil(PANEL);
        for term in self.range.clone() {
            let (sight, strip) = (&sights[term / strips], term % strips);
            let (left, stride, depth) = input.strip(strip);
            let left = Strided(&left[(sight.position * examples + row) * stride..], stride);
            let right = &weight[(sight.tap * channels + strip * PANEL) * width + column..];
            sums = tile::add_rows::<FMA, R, C>(sums, left, Strided(right, width), depth);
        }
        sums
    }

    #[inline(always)]
    fn finish(&self, out: &mut [f32]) {
        if self.last {
            let first = self.position * self.convolution.examples;
            self.convolution.finish.apply(self.panel, first, out);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
