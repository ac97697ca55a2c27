//! Errors and losses summed over examples, and the gradient of the loss.
//!
//! The exponential is our own, of additions and multiplications only: fast, and the same on every machine.

use crate::nn::kernels::Matrix;
use crate::nn::metric::Metric;

/// Sums over examples: what errors and mean losses are made from.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Score {
    /// How many examples.
    pub examples: usize,
    /// How many errors, as [`Metric::Error`] counts them.
    pub errors: usize,
    /// Sum of their losses, in nats.
    pub loss: f64,
}

impl Score {
    /// The score of one example.
    pub fn of(logits: &[f32], label: u16) -> Self {
        let measure = |metric: Metric| metric.of(logits, usize::from(label));
        Self { examples: 1, errors: measure(Metric::Error) as usize, loss: measure(Metric::Loss) }
    }

    /// Adds the examples of another score.
    pub fn add(&mut self, other: Self) {
        self.examples += other.examples;
        self.errors += other.errors;
        self.loss += other.loss;
    }

    /// Top-1 error, in [0, 1].
    pub fn error(&self) -> f64 {
        self.errors as f64 / self.examples as f64
    }

    /// Mean loss.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.examples as f64
    }
}

/// Writes the gradient of `scale` times the sum of the losses of a batch: scale·(softmax(z) − onehot(label)). That of the mean has
/// 1 / rows there.
///
/// `gradient` has the shape of `logits` (rows × classes); `row` is scratch for one row.
pub fn cross_entropy_gradient(
    logits: &Matrix,
    labels: &[u16],
    scale: f32,
    gradient: &mut Matrix,
    row: &mut [f32],
) -> Score {
    let mut score = Score::default();
    for (index, label) in labels.iter().enumerate() {
        logits.copy_row(index, row);
        score.add(Score::of(row, *label));
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        for value in row.iter_mut() {
            *value = exp(*value - largest);
            total += *value;
        }
        for value in row.iter_mut() {
            *value *= scale / total;
        }
        row[usize::from(*label)] -= scale;
        gradient.set_row(index, row);
    }
    score
}

/// eˣ for x ≤ 0, to 2 units in the last place; 0 below −87. (The polynomial of Cephes' `expf`.)
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it rounds to an integer
    const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4); // the first has few bits, so n·LN2.0 is exact
    if x < -87.0 {
        return 0.0;
    }
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = x - n * LN2.0 - n * LN2.1;
    let terms = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    let polynomial = terms.iter().skip(1).fold(terms[0], |sum, term| sum * r + term);
    let power = f32::from_bits(((n as i32 + 127) as u32) << 23);
    (polynomial * r * r + r + 1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_exact_to_two_units() {
        for i in 0..1_000_000 {
            let x = -87.0 * i as f32 / 1_000_000.0;
            let exact = libm::exp(f64::from(x));
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2.4e-7, "{x}");
        }
        assert_eq!((exp(0.0), exp(-100.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn gradient_is_the_difference_quotient() {
        let logits = [0.3_f32, -1.2, 2.0, 0.5, 0.5, -3.0];
        let labels = [2, 0];
        let mut gradient = Matrix::zeros(2, 3);
        let score = cross_entropy_gradient(
            &Matrix::from_rows(2, 3, &logits),
            &labels,
            0.5,
            &mut gradient,
            &mut [0.0; 3],
        );
        let loss = |logits: &[f32]| Score::of(&logits[..3], 2).loss + Score::of(&logits[3..], 0).loss;
        assert_eq!((score.examples, score.errors, score.loss), (2, 0, loss(&logits)));
        for (i, gradient) in gradient.to_rows().iter().enumerate() {
            let mut moved = logits;
            moved[i] += 1e-2;
            let up = loss(&moved);
            moved[i] -= 2e-2;
            let quotient = (up - loss(&moved)) / 2e-2 / 2.0;
            assert!((f64::from(*gradient) - quotient).abs() < 1e-4, "{i}: {gradient} {quotient}");
        }
    }
}
