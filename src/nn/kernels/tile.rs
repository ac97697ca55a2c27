//! Sums in tiles: the loops around the innermost one, generic over the tile's size, which the compiler turns into
//! vector code, and the choice of that size.
//!
//! A tile is 6×64 numbers (AVX-512), 6×16 (AVX2) or 4×8. It is held in registers while a sum runs on.
//!
//! The innermost loops can neither panic nor write to memory: otherwise the compiler would not hold the sums in
//! registers, at a quarter of the speed. Hence `else { break }` where the caller has made sure that there is enough, and
//! the copy of the left numbers before they are used.

use crate::nn::kernels::{Instructions, Path};

/// What is added to a block of numbers: some rows, as wide as a panel.
pub(super) trait Terms {
    /// Adds the terms of the `R`×`C` numbers from this row and column on to their sums.
    fn add<const FMA: bool, const R: usize, const C: usize>(
        &self,
        sums: [[f32; C]; R],
        row: usize,
        column: usize,
    ) -> [[f32; C]; R];

    /// What happens to the block once its terms are in.
    fn finish(&self, out: &mut [f32]);
}

/// Where sums begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begin {
    /// At zero.
    Zero,
    /// With what is there: an earlier part of the sums.
    There,
}

/// Adds the terms of a block of numbers in rows of this width.
pub(super) fn sum<T: Terms>(terms: &T, begin: Begin, path: Path, out: &mut [f32], width: usize) {
    match path.0 {
        // SAFETY: such a path exists only where `Path::available` found the instructions.
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "calls a function with instructions that not all machines have")]
        Instructions::Avx512 => unsafe { avx512(terms, begin, out, width) },
        // SAFETY: likewise.
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "likewise")]
        Instructions::Avx2 => unsafe { avx2(terms, begin, out, width) },
        _ => in_tiles::<false, 4, 8, 8, T>(terms, begin, out, width),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn avx512<T: Terms>(terms: &T, begin: Begin, out: &mut [f32], width: usize) {
    in_tiles::<true, 6, 64, 16, T>(terms, begin, out, width);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T: Terms>(terms: &T, begin: Begin, out: &mut [f32], width: usize) {
    in_tiles::<true, 6, 16, 16, T>(terms, begin, out, width);
}

/// Computes the block in tiles of `R` rows and `WIDE` columns, what is left at the right in tiles of `NARROW`.
#[inline(always)]
fn in_tiles<const FMA: bool, const R: usize, const WIDE: usize, const NARROW: usize, T: Terms>(
    terms: &T,
    begin: Begin,
    out: &mut [f32],
    width: usize,
) {
    let mut column = 0;
    while column < width {
        if width - column >= WIDE {
            column_of_tiles::<FMA, R, WIDE, T>(terms, begin, out, width, column);
            column += WIDE;
        } else {
            column_of_tiles::<FMA, R, NARROW, T>(terms, begin, out, width, column);
            column += NARROW;
        }
    }
    terms.finish(out);
}

/// The tiles below each other, the last ones with fewer rows.
#[inline(always)]
fn column_of_tiles<const FMA: bool, const R: usize, const C: usize, T: Terms>(
    terms: &T,
    begin: Begin,
    out: &mut [f32],
    width: usize,
    column: usize,
) {
    let (rows, mut row) = (out.len() / width, 0);
    while rows - row >= R {
        tile::<FMA, R, C, T>(terms, begin, out, width, [row, column]);
        row += R;
    }
    if rows - row >= 4 {
        tile::<FMA, 4, C, T>(terms, begin, out, width, [row, column]);
        row += 4;
    }
    if rows - row >= 2 {
        tile::<FMA, 2, C, T>(terms, begin, out, width, [row, column]);
        row += 2;
    }
    if rows > row {
        tile::<FMA, 1, C, T>(terms, begin, out, width, [row, column]);
    }
}

#[inline(always)]
fn tile<const FMA: bool, const R: usize, const C: usize, T: Terms>(
    terms: &T,
    begin: Begin,
    out: &mut [f32],
    width: usize,
    [row, column]: [usize; 2],
) {
    let out = &mut out[row * width + column..];
    let sums = match begin {
        Begin::Zero => terms.add::<FMA, R, C>([[0.0; C]; R], row, column),
        Begin::There => {
            let sums = std::array::from_fn(|i| {
                *out[i * width..].first_chunk().expect("a tile lies within its block")
            });
            terms.add::<FMA, R, C>(sums, row, column)
        }
    };
    for (sums, out) in sums.iter().zip(out.chunks_mut(width)) {
        out[..C].copy_from_slice(sums);
    }
}

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
pub(super) fn add_outer<const FMA: bool, const R: usize, const C: usize>(
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
