//! Matrix products, tile by tile.
//!
//! A tile is held in registers while the sum over k runs from 0 to its end: k is never split, so the order of additions
//! is fixed.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::matrix::{self, Matrix, PANEL};
use crate::nn::kernels::tile::{self, Begin, Strided, Terms};
use crate::nn::kernels::{Finish, Path};

/// A task has at least so many multiplications: a few microseconds.
const TASK: usize = 1 << 19;
/// From so many rows on, a task has a block of 64 rows of all panels: the left operand, which is then not in the near caches, is read once.
const TALL: usize = 32 * PANEL;

/// A product left·right or leftᵀ·right, to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// m×k, or k×m if it is to be transposed.
    pub left: &'a Matrix,
    /// Whether to transpose it.
    pub transposed: bool,
    /// k×n.
    pub right: &'a Matrix,
    /// What happens to each sum.
    pub finish: Finish<'a>,
    /// The instructions to use.
    pub path: Path,
}

impl Product<'_> {
    /// Computes it into panels (m×n), in parallel.
    pub fn into_panels(&self, out: &mut Matrix) {
        let (m, k) = self.shape();
        assert_eq!((m, self.right.columns()), (out.rows(), out.columns()), "shape of a product");
        if m >= TALL {
            let tasks = out.pieces_mut(m, PANEL).into_par_iter().enumerate();
            tasks.for_each(|(index, pieces)| self.across(index * PANEL, pieces));
            return;
        }
        let rows = (TASK / (k * PANEL)).next_multiple_of(PANEL).max(PANEL);
        out.values_mut().par_chunks_mut(PANEL * m).enumerate().for_each(|(panel, values)| {
            let width = values.len() / m;
            values.par_chunks_mut(rows * width).enumerate().for_each(|(index, values)| {
                self.blocks(panel, index * rows, values, width);
            });
        });
    }

    /// The same bits, on this thread.
    pub fn on_this_thread(&self, out: &mut Matrix) {
        let (m, _) = self.shape();
        assert_eq!((m, self.right.columns()), (out.rows(), out.columns()), "shape of a product");
        if m >= TALL {
            let tasks = out.pieces_mut(m, PANEL).into_iter().enumerate();
            tasks.for_each(|(index, pieces)| self.across(index * PANEL, pieces));
            return;
        }
        for (panel, values) in out.values_mut().chunks_mut(PANEL * m).enumerate() {
            let width = values.len() / m;
            self.blocks(panel, 0, values, width);
        }
    }

    fn shape(&self) -> (usize, usize) {
        let (rows, columns) = (self.left.rows(), self.left.columns());
        let (m, k) = if self.transposed { (columns, rows) } else { (rows, columns) };
        assert_eq!(k, self.right.rows(), "inner dimension of a product");
        (m, k)
    }

    /// Computes the rows from `first` on of all panels.
    fn across(&self, first: usize, pieces: Vec<&mut [f32]>) {
        if !self.transposed {
            self.fetch(first);
        }
        for (panel, out) in pieces.into_iter().enumerate() {
            self.blocks(panel, first, out, self.right.panel(panel).1);
        }
    }

    /// Reads 64 rows of the left operand from end to end: the machine reads ahead of such a pass, but not of the tiles, which go from
    /// panel to panel.
    fn fetch(&self, first: usize) {
        for strip in 0..self.left.columns().div_ceil(PANEL) {
            let (values, stride, _) = self.left.strip(strip);
            let rows = &values[first * stride..];
            matrix::fetch(&rows[..rows.len().min(PANEL * stride)]);
        }
    }

    /// Computes the rows of a panel from `first` on, as many as `out` has.
    fn blocks(&self, panel: usize, first: usize, out: &mut [f32], width: usize) {
        for (index, out) in out.chunks_mut(PANEL * width).enumerate() {
            let first = first + index * PANEL;
            if self.transposed {
                let terms = Transposed { product: self, panel, first };
                tile::sum(&terms, Begin::Zero, self.path, out, width);
            } else {
                tile::sum(&Plain { product: self, panel, first }, Begin::Zero, self.path, out, width);
            }
        }
    }
}

/// At most 64 rows of a panel of left·right.
struct Plain<'a> {
    product: &'a Product<'a>,
    panel: usize,
    first: usize,
}

impl Terms for Plain<'_> {
    #[inline(always)]
    fn add<const FMA: bool, const R: usize, const C: usize>(
        &self,
        mut sums: [[f32; C]; R],
        row: usize,
        column: usize,
    ) -> [[f32; C]; R] {
        let (right, width) = self.product.right.panel(self.panel);
        for strip in 0..self.product.left.columns().div_ceil(PANEL) {
            let (left, stride, depth) = self.product.left.strip(strip);
            let left = Strided(&left[(self.first + row) * stride..], stride);
            let right = Strided(&right[strip * PANEL * width + column..], width);
            sums = tile::add_rows::<FMA, R, C>(sums, left, right, depth);
        }
        sums
    }

    #[inline(always)]
    fn finish(&self, out: &mut [f32]) {
        self.product.finish.apply(self.panel, self.first, out);
    }
}

/// At most 64 rows of a panel of leftᵀ·right.
///
/// Not a case of the above: the compiler holds the sums in registers for one kind of loop, not for a choice of two.
struct Transposed<'a> {
    product: &'a Product<'a>,
    panel: usize,
    first: usize,
}

impl Terms for Transposed<'_> {
    #[inline(always)]
    fn add<const FMA: bool, const R: usize, const C: usize>(
        &self,
        sums: [[f32; C]; R],
        row: usize,
        column: usize,
    ) -> [[f32; C]; R] {
        let (left, stride, _) = self.product.left.strip(self.first / PANEL);
        let (right, width) = self.product.right.panel(self.panel);
        tile::add_columns::<FMA, R, C>(sums, Strided(&left[row..], stride), Strided(&right[column..], width))
    }

    #[inline(always)]
    fn finish(&self, out: &mut [f32]) {
        self.product.finish.apply(self.panel, self.first, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    const SHAPES: [[usize; 3]; 15] = [
        [1, 1, 1],
        [5, 7, 10],
        [6, 64, 16],
        [7, 65, 17],
        [63, 63, 63],
        [64, 1, 64],
        [65, 64, 65],
        [1, 784, 256],
        [128, 130, 100],
        [70, 6, 48],
        [3, 128, 128],
        [4, 12, 1],
        [2, 2, 130],
        [66, 200, 10],
        [TALL + 5, 70, 66],
    ];

    fn numbers(name: &str, count: usize) -> Vec<f32> {
        let mut stream = rng::stream(0, &[name]);
        (0..count).map(|_| stream.normal() as f32).collect()
    }

    fn transposed(rows: usize, values: &[f32]) -> Vec<f32> {
        let columns = values.len() / rows;
        (0..values.len()).map(|i| values[(i % rows) * columns + i / rows]).collect()
    }

    /// The same sums in f64, and of the magnitudes of the terms, to which rounding errors are proportional.
    fn plain(m: usize, k: usize, n: usize, left: &[f32], right: &[f32]) -> Vec<(f64, f64)> {
        let term = |i, j, p| f64::from(left[i * k + p]) * f64::from(right[p * n + j]);
        let sum = |i, j| {
            (0..k).fold((0.0, 0.0), |(sum, size), p| (sum + term(i, j, p), size + term(i, j, p).abs()))
        };
        (0..m * n).map(|at| sum(at / n, at % n)).collect()
    }

    #[test]
    fn all_paths_compute_the_product() {
        for path in Path::available() {
            for [m, k, n] in SHAPES {
                let (left, right) = (numbers("left", m * k), numbers("right", k * n));
                let expected = plain(m, k, n, &left, &right);
                let flipped = transposed(m, &left);
                let (in_panels, flipped_in_panels) =
                    (Matrix::from_rows(m, k, &left), Matrix::from_rows(k, m, &flipped));
                let right = Matrix::from_rows(k, n, &right);
                for (left, transposed) in [(&in_panels, false), (&flipped_in_panels, true)] {
                    let product = Product { left, transposed, right: &right, finish: Finish::Store, path };
                    let (mut out, mut alone) = (Matrix::zeros(m, n), Matrix::zeros(m, n));
                    alone.values_mut().fill(f32::NAN);
                    product.into_panels(&mut out);
                    product.on_this_thread(&mut alone);
                    assert_eq!(out, alone);
                    let rows = out.to_rows();
                    assert_eq!(Matrix::from_rows(m, n, &rows), out, "padding is zero");
                    for (value, (sum, size)) in rows.iter().zip(&expected) {
                        assert!(
                            (f64::from(*value) - sum).abs() <= 1e-6 * size,
                            "{path:?} {m}x{k}x{n}: {value} {sum}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let (k, n) = (100, 74);
        let (left, right) = (numbers("left", 70 * k), Matrix::from_rows(k, n, &numbers("right", k * n)));
        for path in Path::available() {
            let rows = |first: usize, count: usize| {
                let left = &Matrix::from_rows(count, k, &left[first * k..][..count * k]);
                let mut out = Matrix::zeros(count, n);
                Product { left, transposed: false, right: &right, finish: Finish::Store, path }
                    .on_this_thread(&mut out);
                out.to_rows()
            };
            let all = rows(0, 70);
            for (first, count) in [(0, 1), (69, 1), (3, 6), (5, 65), (10, 13)] {
                assert_eq!(
                    rows(first, count),
                    all[first * n..][..count * n],
                    "{path:?} {count} from {first}"
                );
            }
        }
    }

    #[test]
    fn sums_are_finished() {
        let (m, k, n) = (9, 3, 70);
        let (left, right) = (numbers("left", m * k), Matrix::from_rows(k, n, &numbers("right", k * n)));
        let (bias, mask) = (numbers("bias", n), Matrix::from_rows(m, n, &numbers("mask", m * n)));
        let row = Matrix::from_rows(1, n, &bias);
        for path in Path::available() {
            let compute = |finish| {
                let mut out = Matrix::zeros(m, n);
                let left = &Matrix::from_rows(m, k, &left);
                Product { left, transposed: false, right: &right, finish, path }.on_this_thread(&mut out);
                out.to_rows()
            };
            let sums = compute(Finish::Store);
            let biased: Vec<_> = sums.iter().enumerate().map(|(i, sum)| sum + bias[i % n]).collect();
            assert_eq!(compute(Finish::Bias { bias: &row, relu: false }), biased);
            let rectified: Vec<_> = biased.iter().map(|sum| sum.max(0.0)).collect();
            assert_eq!(compute(Finish::Bias { bias: &row, relu: true }), rectified);
            let masked: Vec<_> = sums
                .iter()
                .zip(mask.to_rows())
                .map(|(sum, mask)| if mask > 0.0 { *sum } else { 0.0 })
                .collect();
            assert_eq!(compute(Finish::Mask(&mask)), masked);
        }
    }
}
