//! In tiles of output positions.

use crate::nn::kernels::{
    Finish, Matrix, Path, Tiles, Window, Winograd, WinogradGradient, transform_weight, transpose_taps,
};
use crate::nn::links::convolution::{Convolution, Finishing, Method, Work};
use crate::nn::links::{Evaluate, Link, Spare};

pub(super) struct Evaluator {
    tiles: Tiles,
    /// Transformed.
    weight: Matrix,
    finishing: Finishing,
}

impl Evaluator {
    pub(super) fn new(tiles: Tiles, weight: &Matrix, finishing: Finishing) -> Self {
        let mut transformed = Matrix::default();
        transform_weight(weight, false, tiles.size(), finishing.path, &mut transformed);
        Self { tiles, weight: transformed, finishing }
    }
}

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        let Self { tiles, weight, finishing } = self;
        output.set_shape(tiles.outputs() * examples, weight.columns());
        let (finish, path) = (finishing.finish(), finishing.path);
        Winograd { input, examples, tiles, weight, finish, path }.on_this_thread(output);
    }
}

pub(super) struct Tiled {
    tiles: Tiles,
    /// Those of the convolution that gives the gradient at the input.
    flipped: Tiles,
    path: Path,
}

impl Tiled {
    pub(super) fn new(link: &Convolution, tiles: Tiles, path: Path) -> Self {
        let back = Window { padding: link.window.padding.map(|padding| 2 - padding), ..link.window };
        let flipped = Tiles::new(link.output().map, &back, tiles.size());
        Self { tiles, flipped: flipped.expect("what has tiles has 3×3 taps and stride 1"), path }
    }
}

impl Method for Tiled {
    fn forward(
        &mut self,
        weight: &Matrix,
        input: &Matrix,
        examples: usize,
        finish: Finish,
        out: &mut Matrix,
    ) {
        let Self { tiles, path, .. } = self;
        out.set_shape(tiles.outputs() * examples, weight.columns());
        Work::lend(|Work { transformed, .. }| {
            transform_weight(weight, false, tiles.size(), *path, transformed);
            Winograd { input, examples, tiles, weight: transformed, finish, path: *path }.into_panels(out);
        });
    }

    fn weight_gradient(
        &mut self,
        input: &Matrix,
        output_gradient: &Matrix,
        examples: usize,
        out: &mut Matrix,
    ) {
        let Self { tiles, path, .. } = self;
        let gradient = WinogradGradient { input, output_gradient, examples, tiles, path: *path };
        Work::lend(|work| gradient.into(&mut work.parts, out));
    }

    fn input_gradient(
        &mut self,
        weight: &Matrix,
        output_gradient: &Matrix,
        examples: usize,
        finish: Finish,
        out: &mut Matrix,
    ) {
        let Self { flipped: tiles, path, .. } = self;
        Work::lend(|Work { transposed, transformed, .. }| {
            transpose_taps(weight, 9, transposed);
            transform_weight(transposed, true, tiles.size(), *path, transformed);
            out.set_shape(tiles.outputs() * examples, transposed.columns());
            Winograd { input: output_gradient, examples, tiles, weight: transformed, finish, path: *path }
                .into_panels(out);
        });
    }
}
