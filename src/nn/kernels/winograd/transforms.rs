//! The transforms, and the loops that apply them to all channels and examples.
//!
//! F(2×2, 3×3) has the points 0, ±1 and ∞:
//!
//! ```text
//!      ⎡1  0 −1  0⎤       ⎡ 1   0   0 ⎤
//! Bᵀ = ⎢0  1  1  0⎥   G = ⎢1/2 1/2 1/2⎥   Aᵀ = ⎡1 1  1  0⎤
//!      ⎢0 −1  1  0⎥       ⎢1/2−1/2 1/2⎥        ⎣0 1 −1 −1⎦
//!      ⎣0  1  0 −1⎦       ⎣ 0   0   1 ⎦
//! ```
//!
//! F(4×4, 3×3) has the points 0, ±p, ±q and ∞:
//!
//! | point | row of Bᵀ | row of G | column of Aᵀ |
//! | --- | --- | --- | --- |
//! | 0 | p²q², 0, −p²−q², 0, 1, 0 | (1, 0, 0) / p²q² | 1, 0, 0, 0 |
//! | ±p | 0, ∓pq², −q², ±p, 1, 0 | (1, ±p, p²) / 2p²(p²−q²) | 1, ±p, p², ±p³ |
//! | ±q | 0, ∓p²q, −p², ±q, 1, 0 | (1, ±q, q²) / 2q²(q²−p²) | 1, ±q, q², ±q³ |
//! | ∞ | 0, p²q², 0, −p²−q², 0, 1 | (0, 0, 1) | 0, 0, 0, 1 |
//!
//! With p = 3/4 and q = 3/2, the numbers of A and B are exact, and their powers stay near 1: results are four times nearer to the exact
//! ones than with the usual 1 and 2.

use std::marker::PhantomData;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::nn::kernels::Path;
use crate::nn::kernels::convolution::pieces;
use crate::nn::kernels::matrix::{Matrix, PANEL};
use crate::nn::kernels::vector::{self, LANES, Lanes, Loop, multiply_add};
use crate::nn::kernels::winograd::Size;

/// A matrix T that is applied from both sides: T·x·Tᵀ.
pub(super) trait Transform<const N: usize, const M: usize> {
    /// T times a column.
    fn apply<const FMA: bool>(column: [f32; N]) -> [f32; M];
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
    fn apply<const FMA: bool>([a, b, c, d]: [f32; 4]) -> [f32; 4] {
        [a - c, b + c, c - b, b - d]
    }
}

impl Transform<4, 2> for OutputTransform {
    #[inline(always)]
    fn apply<const FMA: bool>([a, b, c, d]: [f32; 4]) -> [f32; 2] {
        [a + b + c, b - c - d]
    }
}

impl Transform<2, 4> for GradientTransform {
    #[inline(always)]
    fn apply<const FMA: bool>([a, b]: [f32; 2]) -> [f32; 4] {
        [a, a + b, a - b, 0.0 - b]
    }
}

impl Transform<3, 4> for WeightTransform {
    #[inline(always)]
    fn apply<const FMA: bool>([a, b, c]: [f32; 3]) -> [f32; 4] {
        let outer = a + c;
        [a, 0.5 * (outer + b), 0.5 * (outer - b), c]
    }
}

impl Transform<4, 3> for WeightGradientTransform {
    #[inline(always)]
    fn apply<const FMA: bool>([a, b, c, d]: [f32; 4]) -> [f32; 3] {
        let both = 0.5 * (b + c);
        [a + both, 0.5 * (b - c), both + d]
    }
}

/// The point p.
const P: f32 = 0.75;
/// The point q.
const Q: f32 = 1.5;
/// p².
const PP: f32 = P * P;
/// q².
const QQ: f32 = Q * Q;

impl Transform<6, 6> for InputTransform {
    #[inline(always)]
    fn apply<const FMA: bool>([a, b, c, d, e, f]: [f32; 6]) -> [f32; 6] {
        let plus = multiply_add::<FMA>;
        let of_zero = plus(PP * QQ, a, plus(-PP - QQ, c, e));
        let of_infinity = plus(PP * QQ, b, plus(-PP - QQ, d, f));
        let [p, minus_p] = both::<FMA>(plus(-QQ, c, e), P, plus(-QQ, b, d));
        let [q, minus_q] = both::<FMA>(plus(-PP, c, e), Q, plus(-PP, b, d));
        [of_zero, p, minus_p, q, minus_q, of_infinity]
    }
}

impl Transform<6, 4> for OutputTransform {
    #[inline(always)]
    fn apply<const FMA: bool>([a, b, c, d, e, f]: [f32; 6]) -> [f32; 4] {
        let plus = multiply_add::<FMA>;
        let (even_p, odd_p) = (b + c, P * (b - c));
        let (even_q, odd_q) = (d + e, Q * (d - e));
        [
            a + (even_p + even_q),
            odd_p + odd_q,
            plus(PP, even_p, QQ * even_q),
            plus(PP, odd_p, plus(QQ, odd_q, f)),
        ]
    }
}

impl Transform<3, 6> for WeightTransform {
    #[inline(always)]
    fn apply<const FMA: bool>([a, b, c]: [f32; 3]) -> [f32; 6] {
        const OF_ZERO: f32 = 1.0 / (PP * QQ);
        const OF_P: f32 = 0.5 / (PP * (PP - QQ));
        const OF_Q: f32 = 0.5 / (QQ * (QQ - PP));
        let plus = multiply_add::<FMA>;
        let [p, minus_p] = both::<FMA>(plus(PP, c, a), P, b);
        let [q, minus_q] = both::<FMA>(plus(QQ, c, a), Q, b);
        [OF_ZERO * a, OF_P * p, OF_P * minus_p, OF_Q * q, OF_Q * minus_q, c]
    }
}

/// even ± point·odd: the values at a point and at its negative.
#[inline(always)]
fn both<const FMA: bool>(even: f32, point: f32, odd: f32) -> [f32; 2] {
    [multiply_add::<FMA>(point, odd, even), multiply_add::<FMA>(-point, odd, even)]
}

/// Writes T·x·Tᵀ, for all x that lie side by side in the N·N slices of `from`, to M·M slices, of which those that are `None` are left out.
///
/// All slices are as long as the first, a multiple of [`LANES`], or longer.
pub(super) fn twice<'a, T: Transform<N, M>, const N: usize, const M: usize>(
    path: Path,
    mut from: impl Iterator<Item = &'a [f32]>,
    mut to: impl Iterator<Item = Option<&'a mut [f32]>>,
) {
    let from = square(|| from.next().expect("there are N·N slices"));
    let to = square(|| to.next().expect("there are M·M places"));
    vector::run(path, Twice { from, to, transform: PhantomData::<T> });
}

/// A square of what comes, row by row.
fn square<T, const N: usize>(mut next: impl FnMut() -> T) -> [[T; N]; N] {
    [(); N].map(|()| [(); N].map(|()| next()))
}

struct Twice<'a, T, const N: usize, const M: usize> {
    from: [[&'a [f32]; N]; N],
    to: [[Option<&'a mut [f32]>; M]; M],
    transform: PhantomData<T>,
}

impl<T: Transform<N, M>, const N: usize, const M: usize> Loop for Twice<'_, T, N, M> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let count = self.from[0][0].len() / LANES;
        let from = self.from.map(|row| row.map(|values| &values.as_chunks::<LANES>().0[..count]));
        let mut to = self.to.map(|row| {
            row.map(|values| values.map(|values| &mut values.as_chunks_mut::<LANES>().0[..count]))
        });
        // All of it is written for each place: zeros that are written before would take as long as a transform.
        let mut once = [[[0.0; LANES]; N]; M];
        for at in 0..count {
            for column in 0..N {
                let mut given = [&[0.0; LANES]; N];
                for row in 0..N {
                    given[row] = &from[row][column][at];
                }
                let transformed = side_by_side::<T, FMA, N, M>(given);
                for row in 0..M {
                    once[row][column] = transformed[row];
                }
            }
            for (to, once) in to.iter_mut().zip(&once) {
                let transformed = side_by_side::<T, FMA, N, M>(once.each_ref());
                for (to, value) in to.iter_mut().zip(&transformed) {
                    if let Some(to) = to {
                        to[at] = *value;
                    }
                }
            }
        }
    }
}

/// T times columns that lie side by side. The compiler turns this loop into vector code; of arrays that are added as a whole it makes
/// vectors of half the length.
#[inline(always)]
fn side_by_side<T: Transform<N, M>, const FMA: bool, const N: usize, const M: usize>(
    columns: [&Lanes; N],
) -> [Lanes; M] {
    let mut out = [[0.0; LANES]; M];
    for lane in 0..LANES {
        let mut column = [0.0; N];
        for at in 0..N {
            column[at] = columns[at][lane];
        }
        let transformed = T::apply::<FMA>(column);
        for at in 0..M {
            out[at][lane] = transformed[at];
        }
    }
    out
}

/// Transforms a weight of 9 taps · channels rows into one of elements · channels rows, for tiles of a size: G·weight·Gᵀ. If it is to be
/// flipped, the taps are taken in reverse order.
pub fn transform_weight(weight: &Matrix, is_flipped: bool, size: Size, path: Path, out: &mut Matrix) {
    let channels = weight.rows() / 9;
    assert_eq!(9 * channels, weight.rows(), "rows of a weight");
    out.set_shape(size.elements() * channels, weight.columns());
    pieces(out, size.elements()).into_par_iter().for_each(|piece| {
        let (values, width) = weight.panel(piece.panel);
        let length = piece.taps[0].len();
        let taps = (0..9).map(|tap| {
            let tap = if is_flipped { 8 - tap } else { tap };
            &values[(tap * channels + piece.strip * PANEL) * width..][..length]
        });
        let elements = piece.taps.into_iter().map(Some);
        match size {
            Size::Two => twice::<WeightTransform, 3, 4>(path, taps, elements),
            Size::Four => twice::<WeightTransform, 3, 6>(path, taps, elements),
        }
    });
}
