//! The gradient at the weight: Gᵀ·[ Σ (Bᵀ·input tile·B) ⊙ (A·gradient tile·Aᵀ) ]·G over tiles and examples.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::nn::kernels::Path;
use crate::nn::kernels::convolution::{Outer, Share, groups, pieces, sum_parts};
use crate::nn::kernels::matrix::{Matrix, PANEL};
use crate::nn::kernels::tile::{self, Begin, Strided};
use crate::nn::kernels::winograd::transforms::{
    self, GradientTransform, InputTransform, WeightGradientTransform,
};
use crate::nn::kernels::winograd::{Maps, SCRATCH, Scratch, Size, Tiles, at_once, spaced};

/// Elements of a tile of 2×2.
const ELEMENTS: usize = Size::Two.elements();

/// The gradient at the weight of a convolution, to be computed.
///
/// The tiles are added up in groups, and then the groups; how many there are depends on the shapes only.
#[derive(Clone, Copy, Debug)]
pub struct WinogradGradient<'a> {
    /// Input positions · examples rows, a column per channel.
    pub input: &'a Matrix,
    /// Output positions · examples rows, a column per output channel.
    pub output_gradient: &'a Matrix,
    /// Number of examples.
    pub examples: usize,
    /// What is computed together.
    pub tiles: &'a Tiles,
    /// The instructions to use.
    pub path: Path,
}

impl WinogradGradient<'_> {
    /// Computes it into taps·channels rows with a column per output channel, in parallel. `parts` is memory for sums
    /// over groups, which may serve any number of convolutions.
    pub fn into(self, parts: &mut Vec<Matrix>, out: &mut Matrix) {
        let (channels, outputs) = (self.input.columns(), self.output_gradient.columns());
        assert_eq!(self.tiles.inputs() * self.examples, self.input.rows(), "rows of a convolution's input");
        assert_eq!(self.tiles.outputs() * self.examples, self.output_gradient.rows(), "rows of its gradient");
        assert_eq!((9 * channels, outputs), (out.rows(), out.columns()), "shape of a weight's gradient");
        assert_eq!(Size::Two, self.tiles.size(), "training is in tiles of 2×2");
        let (count, size) = groups(self.tiles.all().len(), channels, outputs);
        if parts.len() < count {
            parts.resize_with(count, Matrix::default);
        }
        let parts = &mut parts[..count];
        let mut tasks = Vec::new();
        for (index, part) in parts.iter_mut().enumerate() {
            part.set_shape(ELEMENTS * channels, outputs);
            let tiles = index * size..self.tiles.all().len().min((index + 1) * size);
            tasks.extend(
                pieces(part, ELEMENTS).into_iter().map(|piece| Share { positions: tiles.clone(), piece }),
            );
        }
        tasks
            .into_par_iter()
            .for_each(|mut task| SCRATCH.with_borrow_mut(|scratch| self.add(&mut task, scratch)));
        let (sum, others) = parts.split_first_mut().expect("there is a group");
        sum_parts(sum, others);
        pieces(out, 9).into_par_iter().for_each(|piece| {
            let (values, width) = sum.panel(piece.panel);
            let length = piece.taps[0].len();
            let elements = (0..ELEMENTS)
                .map(|element| &values[(element * channels + piece.strip * PANEL) * width..][..length]);
            let taps = piece.taps.into_iter().map(Some);
            transforms::twice::<WeightGradientTransform, 4, 3>(self.path, elements, taps);
        });
    }

    /// Adds up the tiles of a group, for a strip of input channels and a panel of output channels.
    fn add(&self, Share { positions, piece }: &mut Share, Scratch { input, output }: &mut Scratch) {
        let Self { examples, path, .. } = *self;
        let columns = (self.input.columns() - piece.strip * PANEL).min(PANEL);
        let width = self.output_gradient.panel(piece.panel).1;
        for sums in &mut piece.taps {
            sums.fill(0.0);
        }
        let step = at_once(examples);
        for tile in &self.tiles.all()[positions.clone()] {
            for first in (0..examples).step_by(step) {
                let some = first..examples.min(first + step);
                let rows = some.len();
                input.set_shape(ELEMENTS * spaced(rows), columns);
                let maps = Maps::new(self.input, piece.strip, examples, &some);
                let (from, to) = (maps.at(&tile.sees), maps.elements(input.values_mut()));
                transforms::twice::<InputTransform, 4, 4>(path, from, to);
                output.set_shape(ELEMENTS * spaced(rows), width);
                let maps = Maps::new(self.output_gradient, piece.panel, examples, &some);
                let (from, to) = (maps.at(&tile.gives), maps.elements(output.values_mut()));
                transforms::twice::<GradientTransform, 2, 4>(path, from, to);
                let stride = input.panel(0).1;
                let lefts = input.values().chunks_exact(spaced(rows) * stride);
                let rights = output.values().chunks_exact(spaced(rows) * width);
                for ((left, right), sums) in lefts.zip(rights).zip(&mut piece.taps) {
                    let left = Strided(&left[..rows * stride], stride);
                    let outer = Outer { left, right: Strided(right, width) };
                    tile::sum(&outer, Begin::There, path, sums, width);
                }
            }
        }
    }
}
