//! What each output position sees, side by side in one row: for inputs of so few channels that a sum tap by tap is all overhead.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::convolution::taps::Taps;
use crate::nn::kernels::matrix::{Matrix, PANEL};

/// Whether an input of so many channels is better unfolded: all taps of a position are one panel.
pub fn is_narrow(channels: usize, taps: &Taps) -> bool {
    taps.count() > 1 && channels * taps.count() <= PANEL
}

/// Writes a row per output position and example, with a column per tap and channel; 0 for taps on padding. In parallel.
///
/// The convolution is then one of a single tap, with the same weight and the same order of sums.
pub fn unfold(input: &Matrix, examples: usize, taps: &Taps, out: &mut Matrix) {
    let block = prepare(input, examples, taps, out);
    let blocks = out.values_mut().par_chunks_mut(block);
    blocks.enumerate().for_each(|(position, out)| fill(input, examples, taps, position, out));
}

/// The same, on this thread.
pub fn unfold_on_this_thread(input: &Matrix, examples: usize, taps: &Taps, out: &mut Matrix) {
    let block = prepare(input, examples, taps, out);
    for (position, out) in out.values_mut().chunks_mut(block).enumerate() {
        fill(input, examples, taps, position, out);
    }
}

/// Gives `out` its shape; how many numbers a position has there.
fn prepare(input: &Matrix, examples: usize, taps: &Taps, out: &mut Matrix) -> usize {
    assert!(is_narrow(input.columns(), taps), "what is unfolded fits into one panel");
    out.set_shape(taps.outputs() * examples, taps.count() * input.columns());
    out.panel(0).1 * examples
}

fn fill(input: &Matrix, examples: usize, taps: &Taps, position: usize, out: &mut [f32]) {
    let ((input, stride), channels) = (input.panel(0), input.columns());
    let width = out.len() / examples;
    out.fill(0.0);
    for sight in taps.of(position) {
        let seen = input[sight.position * examples * stride..].chunks_exact(stride);
        for (out, seen) in out.chunks_exact_mut(width).zip(seen) {
            out[sight.tap * channels..][..channels].copy_from_slice(&seen[..channels]);
        }
    }
}
