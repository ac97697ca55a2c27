//! What is measured of a network's predictions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is measured: a mean over examples.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Top-1 error, in [0, 1]: the label's logit is not the first maximum.
    Error,
    /// Cross-entropy, in nats.
    Loss,
}

impl Metric {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Loss => "loss",
        }
    }

    /// The contribution of one example. Logits that are not numbers make an error.
    pub fn of(self, logits: &[f32], label: usize) -> f64 {
        let own = logits[label];
        match self {
            Self::Error => {
                let first = logits[..label].iter().all(|logit| *logit < own);
                let maximum = logits[label..].iter().all(|logit| *logit <= own);
                f64::from(u8::from(!(first && maximum)))
            }
            Self::Loss => {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let shifted = |logit: f32| f64::from(logit) - f64::from(largest);
                let sum: f64 = logits.iter().map(|logit| libm::exp(shifted(*logit))).sum();
                libm::log(sum) - shifted(own)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_closed_forms() {
        let error = |logits: &[f32], label| Metric::Error.of(logits, label);
        assert_eq!((error(&[0.0, 2.0, 1.0], 1), error(&[0.0, 2.0, 1.0], 2)), (0.0, 1.0));
        assert_eq!((error(&[3.0, 3.0], 0), error(&[3.0, 3.0], 1)), (0.0, 1.0), "the first maximum");
        for label in 0..2 {
            assert_eq!(error(&[f32::NAN, 1.0], label), 1.0);
        }
        let loss = |logits: &[f32], label| Metric::Loss.of(logits, label);
        assert!((loss(&[5.0; 10], 3) - libm::log(10.0)).abs() < 1e-15);
        assert!((loss(&[0.0, libm::logf(3.0)], 0) - libm::log(4.0)).abs() < 1e-7);
        assert_eq!(loss(&[1e30, 0.0], 1), f64::from(1e30_f32), "no overflow");
        assert!((0..2).all(|label| loss(&[f32::NAN, 1.0], label).is_nan()));
    }
}
