//! The speed that kernels are compared with: multiplications and additions in registers, nothing from memory.

use crate::nn::kernels::Path;
use crate::nn::kernels::tile::{self, Begin, Terms};

/// Rows and columns of a tile, on the fastest path.
const SHAPE: [usize; 2] = [6, 64];

/// Multiplies and adds so many times to each number of a tile. Returns how many multiplications and additions it did,
/// and a sum that depends on them all.
pub fn busy(path: Path, rounds: usize) -> (usize, f32) {
    let [rows, columns] = SHAPE;
    let mut out = [1.0; SHAPE[0] * SHAPE[1]];
    tile::sum(&Rounds(rounds), Begin::There, path, &mut out, columns);
    (2 * rounds * rows * columns, out.iter().sum())
}

struct Rounds(usize);

impl Terms for Rounds {
    #[inline(always)]
    fn add<const FMA: bool, const R: usize, const C: usize>(
        &self,
        mut sums: [[f32; C]; R],
        row: usize,
        column: usize,
    ) -> [[f32; C]; R] {
        let (left, right) = ([(row as f32).mul_add(1e-9, 1.0); R], [(column as f32) * 1e-9; C]);
        for _ in 0..self.0 {
            sums = tile::add_outer::<FMA, R, C>(sums, &left, &right);
        }
        sums
    }

    #[inline(always)]
    fn finish(&self, _: &mut [f32]) {}
}
