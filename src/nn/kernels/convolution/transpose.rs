//! The weight of a convolution, rearranged for the gradient at the input.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::matrix::{Matrix, PANEL};

/// Rearranges the weight of a convolution tap by tap, from (taps·channels)×outputs to (taps·outputs)×channels: the weight
/// of the convolution that gives the gradient at the input.
pub fn transpose_taps(weight: &Matrix, taps: usize, out: &mut Matrix) {
    let (channels, outputs) = (weight.rows() / taps, weight.columns());
    assert_eq!(taps * channels, weight.rows(), "rows of a weight");
    assert_eq!((taps * outputs, channels), (out.rows(), out.columns()), "shape of a transposed weight");
    out.values_mut().par_chunks_mut(PANEL * taps * outputs).enumerate().for_each(|(panel, values)| {
        let width = values.len() / (taps * outputs);
        values.par_chunks_mut(outputs * width).enumerate().for_each(|(tap, values)| {
            values.par_chunks_mut(PANEL * width).enumerate().for_each(|(strip, out)| {
                let (source, stride) = weight.panel(strip);
                let rows = (channels - panel * PANEL).min(PANEL);
                let source = &source[(tap * channels + panel * PANEL) * stride..][..rows * stride];
                transpose(source, stride, out, width);
            });
        });
    });
}

fn transpose(source: &[f32], stride: usize, out: &mut [f32], width: usize) {
    for (column, out) in out.chunks_mut(width).enumerate() {
        for (value, source) in out.iter_mut().zip(source[column..].iter().step_by(stride)) {
            *value = *source;
        }
    }
}
