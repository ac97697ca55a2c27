//! The transforms of F(2×2, 3×3), and the loops that apply them to all channels and examples.
//!
//! ```text
//!      ⎡1  0 −1  0⎤       ⎡ 1   0   0 ⎤
//! Bᵀ = ⎢0  1  1  0⎥   G = ⎢1/2 1/2 1/2⎥   Aᵀ = ⎡1 1  1  0⎤
//!      ⎢0 −1  1  0⎥       ⎢1/2−1/2 1/2⎥        ⎣0 1 −1 −1⎦
//!      ⎣0  1  0 −1⎦       ⎣ 0   0   1 ⎦
//! ```

use std::marker::PhantomData;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::nn::kernels::Path;
use crate::nn::kernels::convolution::pieces;
use crate::nn::kernels::matrix::{Matrix, PANEL};
use crate::nn::kernels::vector::{self, LANES, Lanes, Loop};
use crate::nn::kernels::winograd::{ELEMENTS, square};

/// A matrix T that is applied from both sides: T·x·Tᵀ.
pub(super) trait Transform<const N: usize, const M: usize> {
    /// T times a column.
    fn apply(column: [Lanes; N]) -> [Lanes; M];
}

/// Bᵀ: what a tile sees.
pub(super) struct InputTransform;
/// Aᵀ: what a tile gives.
pub(super) struct OutputTransform;
/// A: the gradient of what a tile gives.
pub(super) struct GradientTransform;
/// G: the weight.
pub(super) struct WeightTransform;
/// Gᵀ: the weight's gradient.
pub(super) struct WeightGradientTransform;

impl Transform<4, 4> for InputTransform {
    #[inline(always)]
    fn apply([a, b, c, d]: [Lanes; 4]) -> [Lanes; 4] {
        [subtract(a, c), add(b, c), subtract(c, b), subtract(b, d)]
    }
}

impl Transform<4, 2> for OutputTransform {
    #[inline(always)]
    fn apply([a, b, c, d]: [Lanes; 4]) -> [Lanes; 2] {
        [add(add(a, b), c), subtract(subtract(b, c), d)]
    }
}

impl Transform<2, 4> for GradientTransform {
    #[inline(always)]
    fn apply([a, b]: [Lanes; 2]) -> [Lanes; 4] {
        [a, add(a, b), subtract(a, b), subtract([0.0; LANES], b)]
    }
}

impl Transform<3, 4> for WeightTransform {
    #[inline(always)]
    fn apply([a, b, c]: [Lanes; 3]) -> [Lanes; 4] {
        let outer = add(a, c);
        [a, half(add(outer, b)), half(subtract(outer, b)), c]
    }
}

impl Transform<4, 3> for WeightGradientTransform {
    #[inline(always)]
    fn apply([a, b, c, d]: [Lanes; 4]) -> [Lanes; 3] {
        let both = half(add(b, c));
        [add(a, both), half(subtract(b, c)), add(both, d)]
    }
}

#[inline(always)]
fn add(mut a: Lanes, b: Lanes) -> Lanes {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    a
}

#[inline(always)]
fn subtract(mut a: Lanes, b: Lanes) -> Lanes {
    a.iter_mut().zip(b).for_each(|(a, b)| *a -= b);
    a
}

#[inline(always)]
fn half(a: Lanes) -> Lanes {
    a.map(|a| 0.5 * a)
}

/// Writes T·x·Tᵀ, for all x that lie side by side in `from`; all slices are as long as the first, a multiple of [`LANES`], or longer.
pub(super) fn twice<T: Transform<N, M>, const N: usize, const M: usize>(
    path: Path,
    from: [[&[f32]; N]; N],
    to: &mut [[Option<&mut [f32]>; M]; M],
) {
    vector::run(path, Twice { from, to, transform: PhantomData::<T> });
}

struct Twice<'a, 'b, T, const N: usize, const M: usize> {
    from: [[&'a [f32]; N]; N],
    to: &'a mut [[Option<&'b mut [f32]>; M]; M],
    transform: PhantomData<T>,
}

impl<T: Transform<N, M>, const N: usize, const M: usize> Loop for Twice<'_, '_, T, N, M> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let count = self.from[0][0].len() / LANES;
        let from = self.from.map(|row| row.map(|values| &values.as_chunks::<LANES>().0[..count]));
        let mut to = self.to.each_mut().map(|row| {
            row.each_mut()
                .map(|values| values.as_mut().map(|values| &mut values.as_chunks_mut::<LANES>().0[..count]))
        });
        for at in 0..count {
            let mut once = [[[0.0; LANES]; N]; M];
            for column in 0..N {
                let transformed = T::apply(std::array::from_fn(|row| from[row][column][at]));
                for row in 0..M {
                    once[row][column] = transformed[row];
                }
            }
            for (to, once) in to.iter_mut().zip(once) {
                for (to, value) in to.iter_mut().zip(T::apply(once)) {
                    if let Some(to) = to {
                        to[at] = value;
                    }
                }
            }
        }
    }
}

/// Transforms a weight of 9 taps · channels rows into one of elements · channels rows: G·weight·Gᵀ. If it is to be flipped, the taps
/// are taken in reverse order.
pub fn transform_weight(weight: &Matrix, is_flipped: bool, path: Path, out: &mut Matrix) {
    let channels = weight.rows() / 9;
    assert_eq!(9 * channels, weight.rows(), "rows of a weight");
    out.set_shape(ELEMENTS * channels, weight.columns());
    pieces(out, ELEMENTS).into_par_iter().for_each(|piece| {
        let (values, width) = weight.panel(piece.panel);
        let length = piece.taps[0].len();
        let tap = |row: usize, column: usize| {
            let tap = 3 * row + column;
            let tap = if is_flipped { 8 - tap } else { tap };
            &values[(tap * channels + piece.strip * PANEL) * width..][..length]
        };
        let taps = [0, 1, 2].map(|row| [0, 1, 2].map(|column| tap(row, column)));
        let mut elements = piece.taps.into_iter();
        twice::<WeightTransform, 3, 4>(path, taps, &mut square(|| elements.next()));
    });
}
