//! Softmax cross-entropy, and its gradient.

use crate::nn::kernels::Matrix;
use crate::nn::metric::Metric;

/// Sums over a batch.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sums {
    /// Cross-entropy, in nats.
    pub loss: f64,
    /// Examples whose label is not the first maximum.
    pub errors: f64,
}

/// Returns the sums over the batch (`logits`: rows×classes; `labels`: rows), and writes the gradient of the *mean* cross-entropy
/// with respect to the logits: (softmax(z) − onehot(y)) / rows.
pub fn cross_entropy(logits: &Matrix, labels: &[u8], gradient: &mut Matrix) -> Sums {
    let mut sums = Sums::default();
    let mut row = vec![0.0; logits.columns()];
    gradient.set_rows(logits.rows());
    for (index, label) in labels.iter().enumerate() {
        logits.copy_row(index, &mut row);
        let label = usize::from(*label);
        sums.loss += Metric::Loss.of(&row, label);
        sums.errors += Metric::Error.of(&row, label);
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|z| *z = libm::expf(*z - largest));
        let scale = 1.0 / (row.iter().sum::<f32>() * labels.len() as f32);
        row.iter_mut().for_each(|z| *z *= scale);
        row[label] -= 1.0 / labels.len() as f32;
        gradient.set_row(index, &row);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_is_that_of_the_mean_loss() {
        let rows = [0.5_f32, -1.0, 2.0, 0.0, 3.0, 1.0];
        let labels = [0, 2];
        let mut gradient = Matrix::zeros(2, 3);
        let sums = cross_entropy(&Matrix::from_rows(2, 3, &rows), &labels, &mut gradient);
        let loss = |rows: &[f32]| {
            let row = |i: usize| Metric::Loss.of(&rows[3 * i..3 * i + 3], usize::from(labels[i]));
            row(0) + row(1)
        };
        assert_eq!((sums.loss, sums.errors), (loss(&rows), 2.0));
        for (i, found) in gradient.to_rows().into_iter().enumerate() {
            let moved = |by: f32| {
                let mut rows = rows;
                rows[i] += by;
                loss(&rows)
            };
            let expected = (moved(0.01) - moved(-0.01)) / 0.02 / 2.0;
            assert!((f64::from(found) - expected).abs() < 1e-4, "{i}: {found} {expected}");
        }
    }
}
