//! Tap by tap, or all taps of an unfolded input at once where there are few channels.

use crate::nn::kernels::convolution::{is_narrow, unfold, unfold_on_this_thread};
use crate::nn::kernels::{Convolution as Kernel, Finish, Matrix, Path, Taps, WeightGradient, transpose_taps};
use crate::nn::links::convolution::{Convolution, Finishing, Method, Work};
use crate::nn::links::{Evaluate, Spare};

/// What each output position sees.
struct Sights {
    taps: Taps,
    /// Likewise, of an unfolded input, if the input has few channels.
    narrow: Option<Taps>,
}

impl Sights {
    fn new(link: &Convolution) -> Self {
        let taps = Taps::new(link.input.map, &link.window);
        let narrow = is_narrow(link.input.channels, &taps).then(|| Taps::single(taps.outputs()));
        Self { taps, narrow }
    }
}

pub(super) struct Evaluator {
    sights: Sights,
    weight: Matrix,
    finishing: Finishing,
}

impl Evaluator {
    pub(super) fn new(link: &Convolution, weight: Matrix, finishing: Finishing) -> Self {
        Self { sights: Sights::new(link), weight, finishing }
    }
}

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        let Self { sights: Sights { taps, narrow }, weight, finishing } = self;
        output.set_shape(taps.outputs() * examples, weight.columns());
        let (finish, path) = (finishing.finish(), finishing.path);
        let Some(narrow) = narrow else {
            Kernel { input, examples, taps, weight, finish, path }.on_this_thread(output);
            return;
        };
        let mut unfolded = spare.take();
        unfold_on_this_thread(input, examples, taps, &mut unfolded);
        Kernel { input: &unfolded, examples, taps: narrow, weight, finish, path }.on_this_thread(output);
        spare.give(unfolded);
    }
}

pub(super) struct Tapped {
    sights: Sights,
    flipped: Taps,
    unfolded: Matrix,
    path: Path,
}

impl Tapped {
    pub(super) fn new(link: &Convolution, path: Path) -> Self {
        let sights = Sights::new(link);
        Self { flipped: sights.taps.flipped(), sights, unfolded: Matrix::default(), path }
    }
}

impl Method for Tapped {
    fn forward(
        &mut self,
        weight: &Matrix,
        input: &Matrix,
        examples: usize,
        finish: Finish,
        out: &mut Matrix,
    ) {
        let Self { sights: Sights { taps, narrow }, unfolded, path, .. } = self;
        out.set_shape(taps.outputs() * examples, weight.columns());
        let (input, taps) = match narrow {
            None => (input, &*taps),
            Some(narrow) => {
                unfold(input, examples, taps, unfolded);
                (&*unfolded, &*narrow)
            }
        };
        Kernel { input, examples, taps, weight, finish, path: *path }.into_panels(out);
    }

    fn weight_gradient(
        &mut self,
        input: &Matrix,
        output_gradient: &Matrix,
        examples: usize,
        out: &mut Matrix,
    ) {
        let Self { sights: Sights { taps, narrow }, unfolded, path, .. } = self;
        // What the forward pass unfolded is still there.
        let (input, taps) = narrow.as_ref().map_or((input, &*taps), |narrow| (&*unfolded, narrow));
        let gradient = WeightGradient { input, output_gradient, examples, taps, path: *path };
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
        let Self { flipped: taps, path, .. } = self;
        Work::lend(|Work { transposed, .. }| {
            transpose_taps(weight, taps.count(), transposed);
            out.set_shape(taps.outputs() * examples, transposed.columns());
            Kernel { input: output_gradient, examples, taps, weight: transposed, finish, path: *path }
                .into_panels(out);
        });
    }
}
