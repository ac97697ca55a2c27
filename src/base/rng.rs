//! Seeded, named streams of random numbers: the only source of randomness.
//!
//! A stream is named by a seed and labels, so it does not depend on what was drawn before it: the initial value
//! of a tensor is a function of (seed, tensor name), the order of an epoch's examples of (seed, epoch).
//! `ChaCha8` and `libm` give the same numbers on every machine.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::base::digest::Fields;

/// A stream of random numbers.
pub struct Stream(ChaCha8Rng);

/// Opens the stream of this name. Streams of different names are independent.
pub fn stream(seed: u64, labels: &[&str]) -> Stream {
    let mut fields = Fields::new("layerwise random stream v1");
    fields.add("seed", &seed.to_le_bytes());
    for label in labels {
        fields.add("label", label.as_bytes());
    }
    Stream(ChaCha8Rng::from_seed(*fields.finish().bytes()))
}

impl Stream {
    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Standard normal, by Box and Muller's transform.
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(TAU * self.unit())
    }

    /// Uniform in 0..bound, without bias (Lemire's method).
    pub fn below(&mut self, bound: u64) -> u64 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// A uniform permutation of 0..n, by Fisher and Yates' shuffle.
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_streams() {
        let first = |seed, labels: &[&str]| stream(seed, labels).0.next_u64();
        assert_eq!(first(0, &["a"]), first(0, &["a"]));
        assert_ne!(first(0, &["a"]), first(1, &["a"]));
        assert_ne!(first(0, &["a", "b"]), first(0, &["ab"]));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let n = 100_000;
        let mut numbers = stream(7, &["moments"]);
        let normal: Vec<f64> = (0..n).map(|_| numbers.normal()).collect();
        let uniform: Vec<f64> = (0..n).map(|_| numbers.uniform(-3.0, 3.0)).collect();
        let moment = |x: &[f64], p| x.iter().map(|v| v.powi(p)).sum::<f64>() / n as f64;
        assert!(moment(&normal, 1).abs() < 0.02 && (moment(&normal, 2) - 1.0).abs() < 0.02);
        assert!((moment(&normal, 4) - 3.0).abs() < 0.15);
        assert!(moment(&uniform, 1).abs() < 0.03 && (moment(&uniform, 2) - 3.0).abs() < 0.05);
    }

    #[test]
    fn permutation_holds_each_once() {
        let mut order = stream(0, &["permutation"]).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, v)| i == *v as usize));
    }
}
