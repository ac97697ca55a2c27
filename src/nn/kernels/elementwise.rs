//! Number by number: what happens between products.

use rayon::iter::{
    IndexedParallelIterator, IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelIterator,
};

use crate::nn::kernels::Matrix;

/// Numbers that one task takes at least.
pub const TASK: usize = 1 << 14;

/// Adds a matrix to another of its shape, in parallel.
pub fn add(sum: &mut Matrix, other: &Matrix) {
    let pairs = sum.values_mut().par_iter_mut().with_min_len(TASK).zip(other.values().par_iter());
    pairs.for_each(|(sum, value)| *sum += value);
}

/// The same, on this thread.
pub fn add_on_this_thread(sum: &mut Matrix, other: &Matrix) {
    sum.values_mut().iter_mut().zip(other.values()).for_each(|(sum, value)| *sum += value);
}

/// Adds a matrix to another of its shape and computes the ReLU of the sum, in parallel.
pub fn add_and_rectify(sum: &mut Matrix, other: &Matrix) {
    let pairs = sum.values_mut().par_iter_mut().with_min_len(TASK).zip(other.values().par_iter());
    pairs.for_each(|(sum, value)| *sum = rectified(*sum + value));
}

/// The same, on this thread.
pub fn add_and_rectify_on_this_thread(sum: &mut Matrix, other: &Matrix) {
    let pairs = sum.values_mut().iter_mut().zip(other.values());
    pairs.for_each(|(sum, value)| *sum = rectified(*sum + value));
}

/// Computes a ReLU, in parallel. `out` has its shape already.
pub fn rectify(input: &Matrix, out: &mut Matrix) {
    let pairs = out.values_mut().par_iter_mut().with_min_len(TASK).zip(input.values().par_iter());
    pairs.for_each(|(out, value)| *out = rectified(*value));
}

/// The same, on this thread.
pub fn rectify_on_this_thread(input: &Matrix, out: &mut Matrix) {
    out.values_mut().iter_mut().zip(input.values()).for_each(|(out, value)| *out = rectified(*value));
}

/// Not `max`, which would turn NaN into 0.
fn rectified(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// Copies a gradient, in parallel; with a mask of its shape, 0 where that is not positive. `out` has its shape already.
pub fn copy_gradient(gradient: &Matrix, mask: Option<&Matrix>, out: &mut Matrix) {
    let pairs = out.values_mut().par_iter_mut().with_min_len(TASK).zip(gradient.values().par_iter());
    match mask {
        None => pairs.for_each(|(out, gradient)| *out = *gradient),
        Some(mask) => pairs.zip(mask.values().par_iter()).for_each(|((out, gradient), mask)| {
            *out = if *mask <= 0.0 { 0.0 } else { *gradient };
        }),
    }
}

/// Overwrites a gradient with 0 where `mask`, of its shape, is not positive: the derivative of a ReLU.
pub fn mask(gradient: &mut Matrix, mask: &Matrix) {
    let pairs = gradient.values_mut().par_iter_mut().with_min_len(TASK).zip(mask.values().par_iter());
    pairs.for_each(|(gradient, mask)| *gradient = if *mask <= 0.0 { 0.0 } else { *gradient });
}
