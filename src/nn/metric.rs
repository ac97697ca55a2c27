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
    /// Whether the prediction is another than the full model's, in [0, 1]. It takes no label.
    Disagreement,
    /// 1 − the cosine of the softmax outputs and the full model's. It takes no label.
    PredictionDistance,
}

impl Metric {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Loss => "loss",
            Self::Disagreement => "disagreement",
            Self::PredictionDistance => "prediction_distance",
        }
    }

    /// Whether it asks what the full model says.
    pub fn is_relative(self) -> bool {
        matches!(self, Self::Disagreement | Self::PredictionDistance)
    }

    /// The contribution of one example, of a model that is beside no other.
    pub fn of(self, logits: &[f32], label: usize) -> f64 {
        self.beside(logits, label, logits)
    }

    /// The contribution of one example, for which the full model says `full`. Logits that are not numbers make an error, and agree with
    /// nothing.
    pub fn beside(self, logits: &[f32], label: usize, full: &[f32]) -> f64 {
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
            Self::Disagreement => {
                let prediction = prediction(logits);
                f64::from(u8::from(prediction.is_none() || prediction != self::prediction(full)))
            }
            Self::PredictionDistance => {
                let (p, q) = (exponentials(logits), exponentials(full));
                let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                1.0 - product(&p, &q) / (product(&p, &p) * product(&q, &q)).sqrt()
            }
        }
    }
}

/// The first maximum; `None` if a logit is not a number.
fn prediction(logits: &[f32]) -> Option<usize> {
    let first = |best: usize, class: usize| if logits[class] > logits[best] { class } else { best };
    logits.iter().all(|logit| !logit.is_nan()).then(|| (0..logits.len()).fold(0, first))
}

/// The softmax, but for a factor.
fn exponentials(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().map(|logit| libm::exp(f64::from(*logit) - f64::from(largest))).collect()
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

    #[test]
    fn predictions_are_compared_without_labels() {
        let disagree = |a: &[f32], b: &[f32]| Metric::Disagreement.beside(a, 0, b);
        assert_eq!((disagree(&[0.0, 2.0], &[-1.0, 9.0]), disagree(&[0.0, 2.0], &[3.0, 2.0])), (0.0, 1.0));
        assert_eq!(disagree(&[1.0, 1.0], &[1.0, 0.0]), 0.0, "the first maximum");
        assert_eq!(disagree(&[f32::NAN, 1.0], &[f32::NAN, 1.0]), 1.0);
        // Softmax (1/4, 3/4) and (3/4, 1/4): cosine 6/10. Softmax (1/2, 1/2) and (1/4, 3/4): cosine 2/√5.
        let three = libm::logf(3.0);
        let distance = |a: &[f32], b: &[f32]| Metric::PredictionDistance.beside(a, 0, b);
        assert!((distance(&[0.0, three], &[three, 0.0]) - 0.4).abs() < 1e-7);
        assert!((distance(&[5.0, 5.0], &[0.0, three]) - (1.0 - 2.0 / 5.0_f64.sqrt())).abs() < 1e-7);
        assert!(distance(&[1e30, 0.0], &[1e30, 0.0]).abs() < 1e-12);
    }
}
