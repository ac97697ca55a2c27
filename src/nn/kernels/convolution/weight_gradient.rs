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
        let blocks = channels.div_ceil(PANEL) * outputs.div_ceil(PANEL);
        let positions = self.taps.outputs().div_ceil(TASKS.div_ceil(blocks)).max(1);
        let others = self.taps.outputs().div_ceil(positions).saturating_sub(1);
        if parts.len() < others {
            parts.resize_with(others, Matrix::default);
        }
        let parts = &mut parts[..others];
        for part in &mut *parts {
            part.set_shape(rows, outputs);
        }
        let tasks = self.tasks(positions, std::iter::once(&mut *out).chain(&mut *parts));
        tasks.into_par_iter().for_each(|mut task| task.run(&self));
        out.values_mut().par_chunks_mut(PIECE).enumerate().for_each(|(piece, out)| {
            for part in parts.iter() {
                let part = &part.values()[piece * PIECE..];
                out.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        });
    }

    /// The tasks that compute the sums over groups of so many positions.
    fn tasks<'p>(&self, positions: usize, parts: impl Iterator<Item = &'p mut Matrix>) -> Vec<Task<'p>> {
        let (channels, end) = (self.input.columns(), self.taps.outputs());
        let mut tasks = Vec::new();
        for (group, part) in parts.enumerate() {
            let (rows, first) = (part.rows(), group * positions);
            let positions = first..end.min(first + positions);
            for (panel, values) in part.values_mut().chunks_mut(PANEL * rows).enumerate() {
                let width = values.len() / rows;
                let of_panel = tasks.len();
                tasks.extend((0..channels.div_ceil(PANEL)).map(|strip| Task {
                    positions: positions.clone(),
                    panel,
                    strip,
                    sums: Vec::with_capacity(self.taps.count()),
                }));
                for values in values.chunks_mut(channels * width) {
                    for (task, sums) in tasks[of_panel..].iter_mut().zip(values.chunks_mut(PANEL * width)) {
                        task.sums.push(sums);
                    }
                }
            }
        }
        tasks
    }
}

/// The sums over a group of positions, for a strip of input channels and a panel of output channels.
struct Task<'a> {
    positions: Range<usize>,
    panel: usize,
    strip: usize,
    /// Per tap.
    sums: Vec<&'a mut [f32]>,
}

impl Task<'_> {
    fn run(&mut self, of: &WeightGradient) {
        let (input, stride, _) = of.input.strip(self.strip);
        let (gradient, width) = of.output_gradient.panel(self.panel);
        for sums in &mut self.sums {
            sums.fill(0.0);
        }
        for position in self.positions.clone() {
            for first in (0..of.examples).step_by(EXAMPLES) {
                let count = EXAMPLES.min(of.examples - first);
                let right = &gradient[(position * of.examples + first) * width..][..count * width];
                for sight in of.taps.of(position) {
                    let left = &input[(sight.position * of.examples + first) * stride..][..count * stride];
                    let outer = Outer { left: Strided(left, stride), right: Strided(right, width) };
                    tile::sum(&outer, Begin::There, of.path, self.sums[sight.tap], width);
                }
            }
        }
    }
}

/// The product leftᵀ·right.
struct Outer<'a> {
    left: Strided<'a>,
    right: Strided<'a>,
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
