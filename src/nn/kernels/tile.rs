//! The innermost loops of a product, generic over the tile's size, which the compiler turns into vector code.
//!
//! They can neither panic nor write to memory: otherwise the compiler would not hold the sums in registers, at a quarter
//! of the speed. Hence `else { break }` where the caller has made sure that there is enough, and the copy of the left
//! numbers before they are used.

/// Rows of numbers, from some column on, and the distance between rows.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a>(pub(super) &'a [f32], pub(super) usize);

/// Adds left(i, k) · right(k, j) to the sums, for k from 0 to `depth`.
#[inline(always)]
pub(super) fn add_rows<const FMA: bool, const R: usize, const C: usize>(
    mut sums: [[f32; C]; R],
    left: Strided,
    right: Strided,
    depth: usize,
) -> [[f32; C]; R] {
    let left: [&[f32]; R] = std::array::from_fn(|i| &left.0[i * left.1..][..depth]);
    for (k, right) in (0..depth).zip(right.0.chunks(right.1)) {
        let Some(right) = right.first_chunk() else { break };
        let left = std::array::from_fn(|i| left[i][k]);
        sums = add_outer::<FMA, R, C>(sums, &left, right);
    }
    sums
}

/// Adds left(k, i) · right(k, j) to the sums, for all k.
#[inline(always)]
pub(super) fn add_columns<const FMA: bool, const R: usize, const C: usize>(
    mut sums: [[f32; C]; R],
    left: Strided,
    right: Strided,
) -> [[f32; C]; R] {
    for (left, right) in left.0.chunks(left.1).zip(right.0.chunks(right.1)) {
        let (Some(left), Some(right)) = (left.first_chunk(), right.first_chunk()) else { break };
        sums = add_outer::<FMA, R, C>(sums, left, right);
    }
    sums
}

#[inline(always)]
fn add_outer<const FMA: bool, const R: usize, const C: usize>(
    mut sums: [[f32; C]; R],
    left: &[f32; R],
    right: &[f32; C],
) -> [[f32; C]; R] {
    for (sums, left) in sums.iter_mut().zip(left) {
        for (sum, right) in sums.iter_mut().zip(right) {
            *sum = if FMA { left.mul_add(*right, *sum) } else { left * right + *sum };
        }
    }
    sums
}
