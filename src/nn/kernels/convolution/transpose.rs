//! The weight of a convolution, rearranged for the gradient at the input.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::matrix::{Matrix, PANEL};

/// Rearranges the weight of a convolution tap by tap, from (taps·channels)×outputs to (taps·outputs)×channels: the weight
/// of the convolution that gives the gradient at the input. `out` is reshaped.
pub fn transpose_taps(weight: &Matrix, taps: usize, out: &mut Matrix) {
    let (channels, outputs) = (weight.rows() / taps, weight.columns());
    assert_eq!(taps * channels, weight.rows(), "rows of a weight");
    out.set_shape(taps * outputs, channels);
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

/// Transposes some rows of a panel into rows as wide as there are rows, rounded up to lines.
fn transpose(source: &[f32], stride: usize, out: &mut [f32], width: usize) {
    if source.len() == PANEL * stride {
        let (mut once, mut twice) = ([0.0; PANEL * PANEL], [0.0; PANEL * PANEL]);
        let (once, twice) = (&mut once[..source.len()], &mut twice[..source.len()]);
        interleave(source, once);
        interleave(once, twice);
        interleave(twice, out);
        return;
    }
    for (column, out) in out.chunks_mut(width).enumerate() {
        let (out, padding) = out.split_at_mut(source.len() / stride);
        for (value, source) in out.iter_mut().zip(source[column..].iter().step_by(stride)) {
            *value = *source;
        }
        padding.fill(0.0);
    }
}

/// Takes a number from each quarter in turn.
///
/// Of a place in rows of a panel, written as the digits of the row to the base 4 and then the column, this moves the first
/// digit to the end. As 64 is 4³, after three times the column comes first, and then the row.
fn interleave(source: &[f32], out: &mut [f32]) {
    let quarter = source.len() / 4;
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| &source[index * quarter..][..quarter]);
    let (first, second) = (a.iter().zip(b), c.iter().zip(d));
    for (out, ((a, b), (c, d))) in out.as_chunks_mut().0.iter_mut().zip(first.zip(second)) {
        *out = [*a, *b, *c, *d];
    }
}
