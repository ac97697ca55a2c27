//! The Gaussian error linear unit (Hendrycks and Gimpel), in its exact form: x·Φ(x), with Φ the normal distribution function.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::nn::kernels::elementwise::TASK;
use crate::nn::kernels::vector::{self, Loop, exp, multiply_add, polynomial};
use crate::nn::kernels::{Matrix, Path};

/// 1/√(2π).
const DENSITY: f32 = 0.398_942_3;

/// Computes it in parallel. `out` has its shape already.
pub fn forward(input: &Matrix, path: Path, out: &mut Matrix) {
    let tasks = out.values_mut().par_chunks_mut(TASK).zip(input.values().par_chunks(TASK));
    tasks.for_each(|(out, input)| vector::run(path, Forward { input, out }));
}

/// The same, on this thread.
pub fn forward_on_this_thread(input: &Matrix, path: Path, out: &mut Matrix) {
    vector::run(path, Forward { input: input.values(), out: out.values_mut() });
}

/// Computes the gradient at the input, in parallel.
pub fn backward(input: &Matrix, gradient: &Matrix, path: Path, out: &mut Matrix) {
    let given = input.values().par_chunks(TASK).zip(gradient.values().par_chunks(TASK));
    out.values_mut().par_chunks_mut(TASK).zip(given).for_each(|(out, (input, gradient))| {
        vector::run(path, Backward { input, gradient, out });
    });
}

struct Forward<'a> {
    input: &'a [f32],
    out: &'a mut [f32],
}

impl Loop for Forward<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (out, x) in self.out.iter_mut().zip(self.input) {
            *out = x * distribution::<FMA>(*x).0;
        }
    }
}

struct Backward<'a> {
    input: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [f32],
}

impl Loop for Backward<'_> {
    /// With φ = Φ': g·(Φ(x) + x·φ(x)).
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for ((out, x), gradient) in self.out.iter_mut().zip(self.input).zip(self.gradient) {
            let (below, bell) = distribution::<FMA>(*x);
            *out = gradient * multiply_add::<FMA>(x * DENSITY, bell, below);
        }
    }
}

/// Φ(x), and exp(−x²/2).
///
/// In the form of Abramowitz and Stegun's 26.2.17, Φ(−z) = exp(−z²/2)·p(t) for z ≥ 0 with t = 1/(1 + az); fitted for an error below
/// 1e-8, which is less than the last bit of Φ(z).
#[inline(always)]
fn distribution<const FMA: bool>(x: f32) -> (f32, f32) {
    const A: f32 = 0.275;
    const TERMS: [f32; 6] =
        [-0.114_858_34, 0.451_998_7, -0.330_993_4, 0.333_932_3, 0.042_111_486, 0.117_809_25];
    let t = 1.0 / multiply_add::<FMA>(A, x.abs(), 1.0);
    let bell = exp::<FMA>(-0.5 * x * x);
    let tail = bell * (t * polynomial::<FMA, 6>(t, TERMS));
    (if x < 0.0 { tail } else { 1.0 - tail }, bell)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Φ(x) by the midpoint rule in f64, from 0.
    fn normal(x: f64) -> f64 {
        const STEPS: i32 = 2_000;
        let width = x / f64::from(STEPS);
        let middle = |step: i32| (f64::from(step) + 0.5) * width;
        let sum: f64 = (0..STEPS).map(|step| (-middle(step).powi(2) / 2.0).exp()).sum();
        0.5 + sum * width / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn values_and_derivatives_are_right_on_every_path() {
        let given: Vec<f32> = (-1_200..=1_200).map(|index| index as f32 / 150.0).collect();
        let input = Matrix::from_rows(1, given.len(), &given);
        let ones = Matrix::from_rows(1, given.len(), &vec![1.0; given.len()]);
        for path in Path::available() {
            let [mut out, mut alone, mut slope] = [0; 3].map(|_| Matrix::zeros(1, given.len()));
            forward(&input, path, &mut out);
            forward_on_this_thread(&input, path, &mut alone);
            assert_eq!(out, alone);
            backward(&input, &ones, path, &mut slope);
            for ((x, value), slope) in given.iter().zip(out.to_rows()).zip(slope.to_rows()) {
                let x = f64::from(*x);
                let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
                let far = [f64::from(value) - x * normal(x), f64::from(slope) - normal(x) - x * density];
                assert!(
                    far.iter().all(|far| far.abs() < 1e-7 * x.abs().max(2.0)),
                    "{path:?} at {x}: {far:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_stays_nothing_and_no_number_stays_none() {
        let input = Matrix::from_rows(1, 4, &[0.0, -60.0, 60.0, f32::NAN]);
        for path in Path::available() {
            let mut out = Matrix::zeros(1, 4);
            forward(&input, path, &mut out);
            let rows = out.to_rows();
            assert_eq!(rows[..3], [0.0, -0.0, 60.0]);
            assert!(rows[3].is_nan());
            assert!(out.values()[4..].iter().all(|padding| *padding == 0.0));
        }
    }
}
