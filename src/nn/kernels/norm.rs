//! Batch normalisation, channel by channel over all rows of a batch.
//!
//! Sums run over blocks of rows, then over the blocks in their order: the same bits for any number of threads.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::nn::kernels::matrix::{Matrix, PANEL};

/// Rows that one sum in `f32` runs over; sums of these are in `f64`.
const BLOCK: usize = 256;

/// A number for each channel of a panel.
type Channels<T> = [T; PANEL];

/// Writes mean and (biased) variance of each column, each a matrix of one row.
pub fn moments(input: &Matrix, mean: &mut Matrix, variance: &mut Matrix) {
    let count = input.rows() as f64;
    for index in 0..input.columns().div_ceil(PANEL) {
        let (panel, width) = input.panel(index);
        let parts: Vec<(f64, Channels<f32>, Channels<f32>)> =
            panel.par_chunks(BLOCK * width).map(|rows| block_moments(rows, width)).collect();
        let (mut center, mut spread) = ([0.0_f64; PANEL], [0.0_f64; PANEL]);
        for (rows, mean, _) in &parts {
            center.iter_mut().zip(mean).for_each(|(sum, mean)| *sum += rows / count * f64::from(*mean));
        }
        for (rows, mean, squares) in &parts {
            for channel in 0..width {
                let distance = f64::from(mean[channel]) - center[channel];
                spread[channel] += f64::from(squares[channel]) + rows * distance * distance;
            }
        }
        let range = index * PANEL..index * PANEL + width;
        let targets = mean.values_mut()[range.clone()].iter_mut().zip(&mut variance.values_mut()[range]);
        for ((mean, variance), (center, spread)) in targets.zip(center.iter().zip(spread)) {
            (*mean, *variance) = (*center as f32, (spread / count) as f32);
        }
    }
}

/// Number of rows, means, and sums of squared distances from them.
fn block_moments(rows: &[f32], width: usize) -> (f64, Channels<f32>, Channels<f32>) {
    let count = rows.len() / width;
    let (mut mean, mut squares) = ([0.0; PANEL], [0.0; PANEL]);
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    for sum in &mut mean {
        *sum /= count as f32;
    }
    for row in rows.chunks_exact(width) {
        for ((sum, value), mean) in squares.iter_mut().zip(row).zip(&mean) {
            *sum += (value - mean) * (value - mean);
        }
    }
    (count as f64, mean, squares)
}

/// Multiplies each column by its number in a matrix of one row.
pub fn scale_columns(scale: &Matrix, matrix: &mut Matrix) {
    let rows = matrix.rows();
    for (index, values) in matrix.values_mut().chunks_mut(PANEL * rows).enumerate() {
        let (scale, width) = scale.panel(index);
        for row in values.chunks_exact_mut(width) {
            row.iter_mut().zip(scale).for_each(|(value, scale)| *value *= scale);
        }
    }
}

/// Computes scale·x + shift, perhaps with a ReLU behind it, on this thread. Scale and shift are matrices of one row.
pub fn apply(scale: &Matrix, shift: &Matrix, relu: bool, input: &Matrix, out: &mut Matrix) {
    let rows = out.rows();
    for (index, out) in out.values_mut().chunks_mut(PANEL * rows).enumerate() {
        let (panel, width) = input.panel(index);
        apply_rows([scale, shift].map(|row| row.panel(index).0), relu, width, panel, out);
    }
}

/// The same, in parallel.
pub fn apply_to_train(scale: &Matrix, shift: &Matrix, relu: bool, input: &Matrix, out: &mut Matrix) {
    let rows = out.rows();
    out.values_mut().par_chunks_mut(PANEL * rows).enumerate().for_each(|(index, out)| {
        let (panel, width) = input.panel(index);
        let task = BLOCK * width;
        panel.par_chunks(task).zip(out.par_chunks_mut(task)).for_each(|(input, out)| {
            apply_rows([scale, shift].map(|row| row.panel(index).0), relu, width, input, out);
        });
    });
}

fn apply_rows([scale, shift]: [&[f32]; 2], relu: bool, width: usize, input: &[f32], out: &mut [f32]) {
    for (input, out) in input.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        for (((out, value), scale), shift) in out.iter_mut().zip(input).zip(scale).zip(shift) {
            let normal = value * scale + shift;
            *out = if relu && normal < 0.0 { 0.0 } else { normal };
        }
    }
}

/// Writes for each column Σ g and Σ g·(x − mean), each a matrix of one row: what the gradients of shift and scale are made from.
pub fn gradient_sums(
    input: &Matrix,
    mean: &Matrix,
    gradient: &Matrix,
    plain: &mut Matrix,
    centred: &mut Matrix,
) {
    for index in 0..input.columns().div_ceil(PANEL) {
        let ((panel, width), (gradient, _)) = (input.panel(index), gradient.panel(index));
        let mean = mean.panel(index).0;
        let task = BLOCK * width;
        let parts: Vec<(Channels<f32>, Channels<f32>)> = panel
            .par_chunks(task)
            .zip(gradient.par_chunks(task))
            .map(|(input, gradient)| block_gradient_sums(input, mean, gradient, width))
            .collect();
        let mut sums = [[0.0_f64; PANEL]; 2];
        for (plain, centred) in &parts {
            for (sums, part) in sums.iter_mut().zip([plain, centred]) {
                sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += f64::from(*part));
            }
        }
        for (out, sums) in [&mut *plain, &mut *centred].into_iter().zip(sums) {
            let out = &mut out.values_mut()[index * PANEL..][..width];
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as f32);
        }
    }
}

fn block_gradient_sums(
    input: &[f32],
    mean: &[f32],
    gradient: &[f32],
    width: usize,
) -> (Channels<f32>, Channels<f32>) {
    let (mut plain, mut centred) = ([0.0; PANEL], [0.0; PANEL]);
    for (input, gradient) in input.chunks_exact(width).zip(gradient.chunks_exact(width)) {
        for (channel, (value, g)) in input.iter().zip(gradient).enumerate() {
            plain[channel] += g;
            centred[channel] += g * (value - mean[channel]);
        }
    }
    (plain, centred)
}

/// Computes the gradient at the input, a·g + b·(x − mean) + c with a, b, mean and c of each column; 0 where the input is not positive
/// if `is_masked`.
pub fn input_gradient(
    [a, b, mean, c]: [&Matrix; 4],
    input: &Matrix,
    gradient: &Matrix,
    is_masked: bool,
    out: &mut Matrix,
) {
    let rows = out.rows();
    out.values_mut().par_chunks_mut(PANEL * rows).enumerate().for_each(|(index, out)| {
        let ((panel, width), (gradient, _)) = (input.panel(index), gradient.panel(index));
        let [a, b, mean, c] = [a, b, mean, c].map(|row| &row.panel(index).0[..width]);
        let task = BLOCK * width;
        let tasks = panel.par_chunks(task).zip(gradient.par_chunks(task)).zip(out.par_chunks_mut(task));
        tasks.for_each(|((input, gradient), out)| {
            let rows = input.chunks_exact(width).zip(gradient.chunks_exact(width));
            for ((input, gradient), out) in rows.zip(out.chunks_exact_mut(width)) {
                for channel in 0..width {
                    let (value, g) = (input[channel], gradient[channel]);
                    let sum = a[channel] * g + b[channel] * (value - mean[channel]) + c[channel];
                    out[channel] = if is_masked && value <= 0.0 { 0.0 } else { sum };
                }
            }
        });
    });
}
