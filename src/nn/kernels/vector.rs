//! Loops over numbers, compiled for the instructions of each path, and the exponential function for them.
//!
//! The compiler turns a plain loop into vector code if what it calls is inlined and cannot panic; a call of the system's `exp` would
//! keep it from that, and may differ from machine to machine.

use crate::nn::kernels::{Instructions, Path};

/// Numbers that are summed side by side.
pub(super) const LANES: usize = 16;
/// Sums side by side: the order of additions is fixed, and the compiler may add them as a vector.
pub(super) type Lanes = [f32; LANES];

/// Loops to be run.
pub(super) trait Loop {
    /// Runs them, with or without fused multiply-add. To be inlined always.
    fn run<const FMA: bool>(self);
}

/// Runs loops with the instructions of a path.
pub(super) fn run<L: Loop>(path: Path, work: L) {
    match path.0 {
        // SAFETY: such a path exists only where `Path::available` found the instructions.
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "calls a function with instructions that not all machines have")]
        Instructions::Avx512 => unsafe { avx512(work) },
        // SAFETY: likewise.
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "likewise")]
        Instructions::Avx2 => unsafe { avx2(work) },
        _ => work.run::<false>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn avx512<L: Loop>(work: L) {
    work.run::<true>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<L: Loop>(work: L) {
    work.run::<true>();
}

/// a·b + c.
#[inline(always)]
pub(super) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The value of a polynomial, highest power first.
#[inline(always)]
pub(super) fn polynomial<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.0;
    for coefficient in coefficients {
        sum = multiply_add::<FMA>(sum, x, coefficient);
    }
    sum
}

/// eˣ for x ≤ 0, to two units in the last place; 0 below −87, where it is no normal number.
///
/// With n the integer nearest to x/ln 2, eˣ = 2ⁿ·eʳ, and r is in [−0.35, 0.35].
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    /// Added to a small number, leaves the nearest integer in the lowest bits.
    const SHIFT: f32 = 12_582_912.0;
    /// ln 2 in two parts, of which the first has few digits, so that n times it is exact.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    /// (eʳ − 1 − r)/r², from Cephes.
    const TERMS: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let shifted = multiply_add::<FMA>(x, std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = multiply_add::<FMA>(n, -LN_2[1], multiply_add::<FMA>(n, -LN_2[0], x));
    let power = multiply_add::<FMA>(polynomial::<FMA, 6>(r, TERMS), r * r, r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    if x < -87.0 { 0.0 } else { power * scale }
}

/// The sum of all lanes.
#[inline(always)]
pub(super) fn sum(lanes: Lanes) -> f32 {
    fold(lanes, |a, b| a + b)
}

/// All lanes as one number, half by half.
#[inline(always)]
pub(super) fn fold(mut lanes: Lanes, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Powers<'a>(&'a [f32], &'a mut [f32]);

    impl Loop for Powers<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            self.1.iter_mut().zip(self.0).for_each(|(out, x)| *out = exp::<FMA>(*x));
        }
    }

    #[test]
    fn powers_are_right_on_every_path() {
        let mut given: Vec<f32> = (0..90_000).map(|index| index as f32 * -1e-3).collect();
        given.extend([-0.0, -1e-30, f32::NEG_INFINITY, -1e30, f32::NAN]);
        for path in Path::available() {
            let mut powers = vec![1.0; given.len()];
            run(path, Powers(&given, &mut powers));
            for (x, power) in given.iter().zip(&powers) {
                let exact = f64::from(*x).exp();
                let right =
                    if *x < -87.0 { *power == 0.0 } else { (f64::from(*power) / exact - 1.0).abs() < 2e-7 };
                assert!(right || (x.is_nan() && power.is_nan()), "{path:?}: e^{x} is not {power}");
            }
        }
    }

    #[test]
    fn lanes_are_summed() {
        assert!((sum(std::array::from_fn(|lane| lane as f32)) - 120.0).abs() < 1e-9);
    }
}
