//! Distances: how far the values of a reset lie from those of a reference checkpoint, θ⁰ by default.
//!
//! The study publishes two that are not quite what it calls them (recovered from its re-randomized cells, which only
//! depend on the initialiser). They are offered beside the proper ones, so that figures compare number by number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::nn::params::{Parameter, Params};
use crate::nn::reset::Patch;
use crate::nn::spectrum;

/// A distance between two sets of tensors; Δ is their difference, n how many numbers they have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// ‖Δ‖ / √n.
    Rms,
    /// ‖Δ‖.
    L2,
    /// ‖Δ‖ / ‖reference‖.
    Relative,
    /// max |Δ|.
    Linf,
    /// The "normalised l2" as published: the sum over the tensors of ‖Δ‖² / √n. The root is missing.
    PaperL2,
    /// The "l∞" as published: the sum over the tensors of max |Δ|.
    PaperLinf,
    /// Layer rotation, 1 − cos(values, reference) (Carbonnelle and De Vleeschouwer, 2018): 0 where a layer did not turn, 1 at a right angle.
    Rotation,
    /// [Stable rank](spectrum::stable_rank) of the values, whatever the reference: the mean over a layer's matrices, a convolution being
    /// one of outputs × (inputs · taps).
    StableRank,
    /// How many numbers there are, whatever the reference: n.
    Parameters,
}

impl Distance {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rms => "rms",
            Self::L2 => "l2",
            Self::Relative => "relative",
            Self::Linf => "linf",
            Self::PaperL2 => "paper_l2",
            Self::PaperLinf => "paper_linf",
            Self::Rotation => "rotation",
            Self::StableRank => "stable_rank",
            Self::Parameters => "parameters",
        }
    }

    fn of(self, tensors: &[Moments]) -> f64 {
        let total = |part: fn(&Moments) -> f64| tensors.iter().map(part).sum::<f64>();
        let squares = total(|tensor| tensor.squares);
        let root_count = total(|tensor| tensor.count as f64).sqrt();
        match self {
            Self::Rms => squares.sqrt() / root_count,
            Self::L2 => squares.sqrt(),
            Self::Relative => squares.sqrt() / total(|tensor| tensor.reference).sqrt(),
            Self::Linf => tensors.iter().map(|tensor| tensor.largest).fold(0.0, larger),
            Self::PaperL2 => squares / root_count,
            Self::PaperLinf => total(|tensor| tensor.largest),
            Self::Rotation => {
                let norms = total(|tensor| tensor.own).sqrt() * total(|tensor| tensor.reference).sqrt();
                1.0 - total(|tensor| tensor.product) / norms
            }
            Self::StableRank => {
                let ranks: Vec<f64> = tensors.iter().filter_map(|tensor| tensor.stable_rank).collect();
                ranks.iter().sum::<f64>() / ranks.len() as f64
            }
            Self::Parameters => total(|tensor| tensor.count as f64),
        }
    }
}

/// What all distances are made of, for one tensor.
#[derive(Default)]
struct Moments {
    count: usize,
    /// ‖Δ‖².
    squares: f64,
    /// max |Δ|.
    largest: f64,
    /// ‖reference‖².
    reference: f64,
    /// ‖values‖².
    own: f64,
    /// values · reference.
    product: f64,
    /// Of a matrix, if it is asked for.
    stable_rank: Option<f64>,
}

impl Moments {
    fn of(values: &[f32], reference: &[f32]) -> Self {
        let mut moments = Self { count: values.len(), ..Self::default() };
        for (value, reference) in values.iter().zip(reference) {
            let (value, reference) = (f64::from(*value), f64::from(*reference));
            let delta = value - reference;
            moments.squares += delta * delta;
            moments.largest = larger(moments.largest, delta.abs());
            moments.reference += reference * reference;
            moments.own += value * value;
            moments.product += value * reference;
        }
        moments
    }
}

/// The larger of two magnitudes; what is not a number wins, so that it is seen.
fn larger(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// Distances between what a patch writes, taken from `values`, and the same tensors of `reference`.
pub fn distances(patch: &Patch, values: &Params, reference: &Params, metrics: &[Distance]) -> Vec<f64> {
    let asks_for_rank = metrics.contains(&Distance::StableRank);
    let moments = |place: usize| {
        let Parameter { shape, values, .. } = &values.0[place];
        let is_matrix = shape.len() > 1 && asks_for_rank;
        let stable_rank = is_matrix.then(|| spectrum::stable_rank(values, shape[0]));
        Moments { stable_rank, ..Moments::of(values, &reference.0[place].values) }
    };
    let tensors: Vec<_> = patch.places(values).into_iter().map(moments).collect();
    metrics.iter().map(|metric| metric.of(&tensors)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::LayerName;
    use crate::nn::reset::Source;
    use crate::nn::zoo::{Arch, Fcn};

    const ALL: [Distance; 6] = [
        Distance::Rms,
        Distance::L2,
        Distance::Relative,
        Distance::Linf,
        Distance::PaperL2,
        Distance::PaperLinf,
    ];

    fn patch(layers: &[&str]) -> Patch {
        let layers = layers.iter().map(|name| LayerName::new(*name)).collect();
        let source = Source::Rerand { draw: 0 };
        Patch { layer: String::new(), layers, source, keep: std::collections::BTreeSet::new() }
    }

    fn params(tensors: &[(&str, &[f32])]) -> Params {
        let tensor = |(name, values): &(&str, &[f32])| Parameter {
            name: (*name).to_owned(),
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        Params(tensors.iter().map(tensor).collect())
    }

    /// Layer `a` differs by (3, 0) and (−4, 0): ‖Δ‖² = 25, n = 4; its reference has norm √(1 + 4 + 4 + 16) = 5.
    #[test]
    fn closed_forms() {
        let reference = params(&[("a.weight", &[1.0, 2.0]), ("a.bias", &[2.0, 4.0]), ("b.weight", &[1.0])]);
        let values = params(&[("a.weight", &[4.0, 2.0]), ("a.bias", &[-2.0, 4.0]), ("b.weight", &[9.0])]);
        let of = |layers: &[&str]| distances(&patch(layers), &values, &reference, &ALL);
        assert_eq!(of(&["a"]), [2.5, 5.0, 1.0, 4.0, 12.5, 7.0]);
        assert_eq!(of(&["b"]), [8.0, 8.0, 8.0, 8.0, 64.0, 8.0]);
        let joint = of(&["a", "b"]);
        assert_eq!((joint[1], joint[3], joint[5]), (89.0_f64.sqrt(), 8.0, 15.0));
        assert_eq!(distances(&patch(&["a"]), &reference, &reference, &ALL), [0.0; 6]);
    }

    /// (1, 0) against (1, 1): half a right angle. A matrix of rank one beside a bias.
    #[test]
    fn rotation_and_rank_have_closed_forms() {
        let (values, reference) = (params(&[("a.bias", &[1.0, 0.0])]), params(&[("a.bias", &[1.0, 1.0])]));
        let of = |values, reference, metric| distances(&patch(&["a"]), values, reference, &[metric])[0];
        assert!((of(&values, &reference, Distance::Rotation) - (1.0 - 0.5_f64.sqrt())).abs() < 1e-12);
        assert!(of(&values, &reference, Distance::StableRank).is_nan(), "a layer without a matrix");
        let mut matrix = params(&[("a.weight", &[3.0, 4.0, 6.0, 8.0]), ("a.bias", &[5.0, 0.0])]);
        matrix.0[0].shape = vec![2, 2];
        assert!((of(&matrix, &matrix, Distance::StableRank) - 1.0).abs() < 1e-9);
        assert!(of(&matrix, &matrix, Distance::Rotation).abs() < 1e-12);
        assert_eq!(of(&matrix, &matrix, Distance::Parameters), 6.0);
    }

    #[test]
    fn what_is_not_a_number_is_seen() {
        let (values, reference) =
            (params(&[("a.bias", &[f32::NAN, 1.0])]), params(&[("a.bias", &[0.0, 0.0])]));
        assert!(distances(&patch(&["a"]), &values, &reference, &ALL).iter().all(|d| d.is_nan()));
    }

    /// Figures 1b and 1c, first column: a fresh draw against θ⁰, a fingerprint of the initialiser.
    #[test]
    fn a_fresh_draw_is_as_far_from_the_initialisation_as_published() {
        let published = [
            ("layer1", 0.385, 0.140),
            ("layer2", 0.670, 0.246),
            ("layer3", 0.670, 0.246),
            ("layer4", 0.137, 0.235),
        ];
        let network = Arch::Fcn(Fcn { depth: 3, width: 256 }).network([1, 28, 28], 10);
        let (reference, draws) = (network.init(0), 6);
        for (layer, l2, linf) in published {
            let mut mean = [0.0; 2];
            for draw in 0..draws {
                let of = distances(&patch(&[layer]), &network.draw(0, draw), &reference, &ALL[4..]);
                mean.iter_mut().zip(of).for_each(|(mean, of)| *mean += of / f64::from(draws));
            }
            assert!((mean[0] / l2 - 1.0).abs() < 0.05, "{layer}: {} and {l2}", mean[0]);
            let tolerance = if layer == "layer4" { 0.15 } else { 0.05 }; // the largest of ten biases scatters
            assert!((mean[1] / linf - 1.0).abs() < tolerance, "{layer}: {} and {linf}", mean[1]);
        }
    }
}
