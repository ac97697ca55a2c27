//! 3×3 convolutions of stride 1 with fewer multiplications (Winograd's F(2×2, 3×3) and F(4×4, 3×3); Lavin and Gray 2015, section 4).
//!
//! The output is cut into tiles of 2×2 positions, each of which sees 4×4 input positions; or of 4×4, which see 6×6. With the
//! transforms A, B and G (`transforms.rs`),
//!
//! ```text
//! output tile = Aᵀ·[ (G·weight·Gᵀ) ⊙ (Bᵀ·input tile·B) ]·A
//! ```
//!
//! where ⊙ multiplies each of the 16 (36) elements by itself: a matrix product of channels and output channels, for all examples
//! at once. That is 16 multiplications for 4 outputs, in the place of 36; or 36 for 16, in the place of 144. Sums differ from those
//! of a plain convolution in the last bits: `tests.rs` says how far.

mod tiles;
mod transforms;
mod weight_gradient;

use std::cell::RefCell;
use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::nn::kernels::matrix::{self, Matrix, PANEL};
use crate::nn::kernels::tile::{self, Begin, Strided, Terms};
use crate::nn::kernels::{Finish, Path};

use tiles::Tile;
pub use tiles::{Size, Tiles};
pub use transforms::transform_weight;
use transforms::{InputTransform, OutputTransform};
pub use weight_gradient::WinogradGradient;

/// Examples that are transformed at once, at most: what is made of them stays near, and the weight serves them all.
const EXAMPLES: usize = 64;
/// Stands for positions on padding.
static ZEROS: [f32; EXAMPLES * PANEL] = [0.0; EXAMPLES * PANEL];

/// A convolution to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Winograd<'a> {
    /// Input positions · examples rows, a column per channel.
    pub input: &'a Matrix,
    /// Number of examples.
    pub examples: usize,
    /// What is computed together.
    pub tiles: &'a Tiles,
    /// A transformed weight: elements · channels rows, a column per output channel.
    pub weight: &'a Matrix,
    /// What happens to each sum.
    pub finish: Finish<'a>,
    /// The instructions to use.
    pub path: Path,
}

/// Memory of a thread.
#[derive(Default)]
struct Scratch {
    /// Elements of rows: of the input.
    input: Matrix,
    /// Likewise, of the output; or of its gradient.
    output: Matrix,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Winograd<'_> {
    /// Computes it into panels (output positions · examples rows), in parallel.
    pub fn into_panels(&self, out: &mut Matrix) {
        self.tasks(out).into_par_iter().for_each(|task| task.run(self));
    }

    /// Computes the same bits on this thread.
    pub fn on_this_thread(&self, out: &mut Matrix) {
        self.tasks(out).into_iter().for_each(|task| task.run(self));
    }

    fn tasks<'o>(&self, out: &'o mut Matrix) -> Vec<Task<'o>>
    where
        Self: 'o,
    {
        let Self { input, examples, tiles, weight, .. } = *self;
        let rows = tiles.outputs() * examples;
        assert_eq!(tiles.inputs() * examples, input.rows(), "rows of a convolution's input");
        assert_eq!(tiles.size().elements() * input.columns(), weight.rows(), "rows of its weight");
        assert_eq!((rows, weight.columns()), (out.rows(), out.columns()), "shape of its result");
        let step = at_once(examples);
        let ranges = || (0..examples).step_by(step).map(move |first| first..examples.min(first + step));
        let of_tile = |tile| ranges().map(move |examples| Task { tile, examples, out: Vec::new() });
        let mut tasks: Vec<_> = (0..tiles.all().len()).flat_map(of_tile).collect();
        for values in out.values_mut().chunks_mut(PANEL * rows.max(1)) {
            let width = values.len() / rows;
            for (position, values) in values.chunks_mut(examples * width).enumerate() {
                let tasks = &mut tasks[tiles.of(position) * ranges().len()..];
                for (task, out) in tasks.iter_mut().zip(values.chunks_mut(step * width)) {
                    task.out.push(out);
                }
            }
        }
        tasks
    }
}

/// How many of so many examples are transformed at once.
fn at_once(examples: usize) -> usize {
    examples.div_ceil(examples.div_ceil(EXAMPLES).max(1)).max(1)
}

/// How far elements of so many rows are apart. If that were a power of two, all would fall on the same sets of a cache.
fn spaced(rows: usize) -> usize {
    rows + 1
}

/// A tile, for some examples.
struct Task<'a> {
    tile: usize,
    examples: Range<usize>,
    /// Its rows of the result: panel by panel, position by position.
    out: Vec<&'a mut [f32]>,
}

impl Task<'_> {
    fn run(self, of: &Winograd) {
        SCRATCH.with_borrow_mut(|scratch| self.run_with(scratch, of));
    }

    fn run_with(self, Scratch { input, output }: &mut Scratch, of: &Winograd) {
        let Winograd { tiles, weight, finish, path, .. } = *of;
        let (tile, size, rows) = (&tiles.all()[self.tile], tiles.size(), self.examples.len());
        self.transform(of, tile, input);
        let mut places = self.out.into_iter();
        for panel in 0..weight.columns().div_ceil(PANEL) {
            let width = weight.panel(panel).1;
            output.set_shape(size.elements() * spaced(rows), width);
            for (element, out) in output.values_mut().chunks_exact_mut(spaced(rows) * width).enumerate() {
                let products = Products { input, weight, rows, panel, element };
                tile::sum(&products, Begin::Zero, path, &mut out[..rows * width], width);
            }
            let mut gives: Vec<_> =
                tile.gives.iter().map(|position| Some((position.as_ref()?, places.next()?))).collect();
            let from = output.values().chunks_exact(spaced(rows) * width).map(|sums| &sums[..rows * width]);
            let to = gives.iter_mut().map(|given| given.as_mut().map(|(_, out)| &mut **out));
            match size {
                Size::Two => transforms::twice::<OutputTransform, 4, 2>(path, from, to),
                Size::Four => transforms::twice::<OutputTransform, 6, 4>(path, from, to),
            }
            for (position, out) in gives.into_iter().flatten() {
                finish.apply(panel, position * of.examples + self.examples.start, out);
            }
        }
    }

    /// Transforms what the tile sees.
    fn transform(&self, of: &Winograd, tile: &Tile, out: &mut Matrix) {
        let size = of.tiles.size();
        let rows = size.elements() * spaced(self.examples.len());
        out.set_shape(rows, of.input.columns());
        for (strip, out) in out.values_mut().chunks_mut(PANEL * rows).enumerate() {
            let maps = Maps::new(of.input, strip, of.examples, &self.examples);
            maps.fetch(&tile.sees);
            let (from, to) = (maps.at(&tile.sees), maps.elements(out));
            match size {
                Size::Two => transforms::twice::<InputTransform, 4, 4>(of.path, from, to),
                Size::Four => transforms::twice::<InputTransform, 6, 6>(of.path, from, to),
            }
        }
    }
}

/// A panel of maps, of which some examples are transformed.
struct Maps<'a> {
    values: &'a [f32],
    width: usize,
    examples: usize,
    some: &'a Range<usize>,
}

impl<'a> Maps<'a> {
    fn new(matrix: &'a Matrix, panel: usize, examples: usize, some: &'a Range<usize>) -> Self {
        let (values, width) = matrix.panel(panel);
        Self { values, width, examples, some }
    }

    /// The examples at each position, or on padding.
    fn at(&self, positions: &[Option<usize>]) -> impl Iterator<Item = &'a [f32]> {
        let count = self.some.len() * self.width;
        positions.iter().map(move |position| match position {
            Some(position) => {
                &self.values[(position * self.examples + self.some.start) * self.width..][..count]
            }
            None => &ZEROS[..count],
        })
    }

    /// Reads the examples from end to end, position by position: the machine reads ahead of such a pass, but not of all positions at
    /// once.
    fn fetch(&self, positions: &[Option<usize>]) {
        self.at(positions).for_each(matrix::fetch);
    }

    /// Cuts what begins with the panel of the elements' rows.
    fn elements<'o>(&self, out: &'o mut [f32]) -> impl Iterator<Item = Option<&'o mut [f32]>> {
        out.chunks_exact_mut(spaced(self.some.len()) * self.width).map(Some)
    }
}

/// The product of an element: rows × channels by channels × a panel of output channels.
struct Products<'a> {
    input: &'a Matrix,
    weight: &'a Matrix,
    rows: usize,
    panel: usize,
    element: usize,
}

impl Terms for Products<'_> {
    #[inline(always)]
    fn add<const FMA: bool, const R: usize, const C: usize>(
        &self,
        mut sums: [[f32; C]; R],
        row: usize,
        column: usize,
    ) -> [[f32; C]; R] {
        let channels = self.input.columns();
        let (weight, width) = self.weight.panel(self.panel);
        for strip in 0..channels.div_ceil(PANEL) {
            let (left, stride, depth) = self.input.strip(strip);
            let left = Strided(&left[(self.element * spaced(self.rows) + row) * stride..], stride);
            let right = &weight[(self.element * channels + strip * PANEL) * width + column..];
            sums = tile::add_rows::<FMA, R, C>(sums, left, Strided(right, width), depth);
        }
        sums
    }

    #[inline(always)]
    fn finish(&self, _: &mut [f32]) {}
}

#[cfg(test)]
mod tests;
