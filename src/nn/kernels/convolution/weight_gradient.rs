//! The gradient at the weight of a convolution.

use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::Path;
use crate::nn::kernels::convolution::Taps;
use crate::nn::kernels::matrix::{Matrix, PANEL};
use crate::nn::kernels::tile::{self, Begin, Strided, Terms};

/// So many tasks at least, where there are enough positions.
const TASKS: usize = 16;
/// Examples that are added to all taps before the next: their gradients stay in the first cache.
const EXAMPLES: usize = 128;
/// Numbers that are summed at once over the groups.
const PIECE: usize = 1 << 12;

/// The gradient at the weight of a convolution, to be computed:
/// the sum over positions and examples of input(position', channel) · gradient(position, output channel), per tap.
///
/// The positions are added up in groups, and then the groups; how many there are depends on the shapes only.
#[derive(Clone, Copy, Debug)]
pub struct WeightGradient<'a> {
    /// Input positions · examples rows, a column per channel.
    pub input: &'a Matrix,
    /// Output positions · examples rows, a column per output channel.
    pub output_gradient: &'a Matrix,
    /// Number of examples.
    pub examples: usize,
    /// What each output position sees.
    pub taps: &'a Taps,
    /// The instructions to use.
    pub path: Path,
}

impl WeightGradient<'_> {
    /// Computes it into taps·channels rows with a column per output channel, in parallel. `parts` is memory for sums
    /// over groups, which may serve any number of convolutions.
    pub fn into(self, parts: &mut Vec<Matrix>, out: &mut Matrix) {
        let (channels, outputs) = (self.input.columns(), self.output_gradient.columns());
        let rows = self.taps.count() * channels;
        assert_eq!(self.taps.inputs() * self.examples, self.input.rows(), "rows of a convolution's input");
        assert_eq!(self.taps.outputs() * self.examples, self.output_gradient.rows(), "rows of its gradient");
        assert_eq!((rows, outputs), (out.rows(), out.columns()), "shape of a weight's gradient");
        let (count, size) = groups(self.taps.outputs(), channels, outputs);
        if parts.len() < count - 1 {
            parts.resize_with(count - 1, Matrix::default);
        }
        let parts = &mut parts[..count - 1];
        let mut tasks = Vec::new();
        for (index, part) in std::iter::once(&mut *out).chain(&mut *parts).enumerate() {
            part.set_shape(rows, outputs);
            let positions = index * size..self.taps.outputs().min((index + 1) * size);
            let group = |piece| Share { positions: positions.clone(), piece };
            tasks.extend(pieces(part, self.taps.count()).into_iter().map(group));
        }
        tasks.into_par_iter().for_each(|mut group| self.add(&mut group));
        sum_parts(out, parts);
    }

    /// Adds up the positions of a group, for a strip of input channels and a panel of output channels.
    fn add(&self, Share { positions, piece }: &mut Share) {
        let (input, stride, _) = self.input.strip(piece.strip);
        let (gradient, width) = self.output_gradient.panel(piece.panel);
        for sums in &mut piece.taps {
            sums.fill(0.0);
        }
        for position in positions {
            for first in (0..self.examples).step_by(EXAMPLES) {
                let count = EXAMPLES.min(self.examples - first);
                let right = &gradient[(position * self.examples + first) * width..][..count * width];
                for sight in self.taps.of(position) {
                    let left = &input[(sight.position * self.examples + first) * stride..][..count * stride];
                    let outer = Outer { left: Strided(left, stride), right: Strided(right, width) };
                    tile::sum(&outer, Begin::There, self.path, piece.taps[sight.tap], width);
                }
            }
        }
    }
}

/// Into how many groups so many positions (or tiles) are divided, at least one, and how many a group has.
pub(in crate::nn::kernels) fn groups(positions: usize, channels: usize, outputs: usize) -> (usize, usize) {
    let pieces = channels.div_ceil(PANEL) * outputs.div_ceil(PANEL);
    let size = positions.div_ceil(TASKS.div_ceil(pieces)).max(1);
    (positions.div_ceil(size).max(1), size)
}

/// Some positions (or tiles), and where their sums go.
pub(in crate::nn::kernels) struct Share<'a> {
    pub(in crate::nn::kernels) positions: Range<usize>,
    pub(in crate::nn::kernels) piece: Piece<'a>,
}

/// A strip of input channels and a panel of output channels, of a matrix of taps·channels rows.
pub(in crate::nn::kernels) struct Piece<'a> {
    pub(in crate::nn::kernels) panel: usize,
    pub(in crate::nn::kernels) strip: usize,
    /// The numbers of each tap.
    pub(in crate::nn::kernels) taps: Vec<&'a mut [f32]>,
}

/// Cuts a matrix of so many taps.
pub(in crate::nn::kernels) fn pieces(matrix: &mut Matrix, taps: usize) -> Vec<Piece<'_>> {
    let (rows, channels) = (matrix.rows(), matrix.rows() / taps);
    let mut pieces = Vec::new();
    for (panel, values) in matrix.values_mut().chunks_mut(PANEL * rows).enumerate() {
        let (width, of_panel) = (values.len() / rows, pieces.len());
        let piece = |strip| Piece { panel, strip, taps: Vec::with_capacity(taps) };
        pieces.extend((0..channels.div_ceil(PANEL)).map(piece));
        for values in values.chunks_mut(channels * width) {
            for (piece, numbers) in pieces[of_panel..].iter_mut().zip(values.chunks_mut(PANEL * width)) {
                piece.taps.push(numbers);
            }
        }
    }
    pieces
}

/// Adds other matrices of the same shape, in parallel.
pub(in crate::nn::kernels) fn sum_parts(sum: &mut Matrix, others: &[Matrix]) {
    sum.values_mut().par_chunks_mut(PIECE).enumerate().for_each(|(piece, sum)| {
        for other in others {
            let other = &other.values()[piece * PIECE..];
            sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
        }
    });
}

/// The product leftᵀ·right.
pub(in crate::nn::kernels) struct Outer<'a> {
    pub(in crate::nn::kernels) left: Strided<'a>,
    pub(in crate::nn::kernels) right: Strided<'a>,
}

impl Terms for Outer<'_> {
    #[inline(always)]
    fn add<const FMA: bool, const R: usize, const C: usize>(
        &self,
        sums: [[f32; C]; R],
        row: usize,
        column: usize,
    ) -> [[f32; C]; R] {
        let left = Strided(&self.left.0[row..], self.left.1);
        let right = Strided(&self.right.0[column..], self.right.1);
        tile::add_columns::<FMA, R, C>(sums, left, right)
    }

    #[inline(always)]
    fn finish(&self, _: &mut [f32]) {}
}
