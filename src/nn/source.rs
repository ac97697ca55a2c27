//! Where the values come from that overwrite a layer.

use serde::{Deserialize, Serialize};

use crate::base::rng;
use crate::nn::params::{Parameter, Params};
use crate::nn::run::{Run, RunError};

/// A source of values. In the order of a table's columns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Re-randomization: a fresh draw.
    Rerand {
        /// Which one, from 0.
        draw: u32,
    },
    /// Re-initialization: a checkpoint.
    Reinit {
        /// Its epoch τ; 0 is the initialisation.
        epoch: u32,
    },
    /// A point on the straight line from a checkpoint to the final values: (1 − α) θ^τ + α θ^T.
    Path {
        /// The checkpoint's epoch τ.
        epoch: u32,
        /// How far along.
        alpha: Alpha,
    },
    /// Such a point with normal noise on every number: (1 − α) θ^τ + α θ^T + σ u. What module criticality asks for (Chatterji, Neyshabur and
    /// Sedghi, "The intriguing role of module criticality in the generalization of deep networks", 2020). Running means and variances have no noise.
    Noisy {
        /// The checkpoint's epoch τ.
        epoch: u32,
        /// How far along.
        alpha: Alpha,
        /// The noise's standard deviation.
        sigma: Alpha,
        /// Which noise, from 0.
        draw: u32,
    },
    /// The final values, moved in a random direction by as much as training moved the layer: θ^T + ‖θ^T − θ⁰‖ u / ‖u‖, u normal. What
    /// distance alone would do. Running means and variances stay.
    Matched {
        /// Which direction, from 0.
        draw: u32,
    },
}

/// A number in thousandths, so that equal ones are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Alpha(u32);

impl TryFrom<f64> for Alpha {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        let thousandths = (value * 1000.0).round();
        if (0.0..=1000.0).contains(&thousandths) && (value * 1000.0 - thousandths).abs() < 1e-6 {
            return Ok(Self(thousandths as u32));
        }
        Err(format!("{value} is no number from 0 to 1 with three decimals at most"))
    }
}

impl From<Alpha> for f64 {
    fn from(Alpha(thousandths): Alpha) -> Self {
        Self::from(thousandths) / 1000.0
    }
}

impl schemars::JsonSchema for Alpha {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Alpha".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

impl Source {
    /// The columns `source`, `epoch` and `draw` of a tidy table.
    pub fn columns(self) -> [String; 3] {
        match self {
            Self::Rerand { draw } => ["rerand".to_owned(), String::new(), draw.to_string()],
            Self::Reinit { epoch } => ["reinit".to_owned(), epoch.to_string(), String::new()],
            Self::Path { epoch, .. } => ["path".to_owned(), epoch.to_string(), String::new()],
            Self::Noisy { epoch, draw, .. } => ["path".to_owned(), epoch.to_string(), draw.to_string()],
            Self::Matched { draw } => ["matched".to_owned(), String::new(), draw.to_string()],
        }
    }

    /// The column `alpha`, which tables have where a source has one.
    pub fn alpha(self) -> Option<f64> {
        match self {
            Self::Path { alpha, .. } | Self::Noisy { alpha, .. } => Some(alpha.into()),
            _ => None,
        }
    }

    /// The column `sigma`, likewise.
    pub fn sigma(self) -> Option<f64> {
        match self {
            Self::Noisy { sigma, .. } => Some(sigma.into()),
            _ => None,
        }
    }

    /// The values that this source has for every layer of the run's network.
    pub fn values(self, run: &Run, rerand_seed: u64) -> Result<Params, RunError> {
        let seed = || draw_seed(run.description.seed, rerand_seed);
        match self {
            Self::Reinit { epoch } => run.params(epoch),
            Self::Rerand { draw } => Ok(run.network().draw(seed(), draw)),
            Self::Path { epoch, alpha } => {
                Ok(between(&run.params(epoch)?, &run.final_params()?, alpha.into()))
            }
            Self::Noisy { epoch, alpha, sigma, draw } => {
                let values = between(&run.params(epoch)?, &run.final_params()?, alpha.into());
                Ok(with_noise(values, sigma.into(), seed(), draw))
            }
            Self::Matched { draw } => {
                let layers: Vec<_> = run.network().layers().iter().map(|layer| layer.name.as_str()).collect();
                Ok(moved(&layers, &run.params(0)?, run.final_params()?, seed(), draw))
            }
        }
    }
}

/// Seed of the fresh draws: the run's own, unless others are asked for.
pub(super) fn draw_seed(seed: u64, rerand_seed: u64) -> u64 {
    match rerand_seed {
        0 => seed,
        _ => rng::stream(seed, &["rerand seed", &rerand_seed.to_string()]).below(u64::MAX),
    }
}

/// (1 − α) `start` + α `end`, tensor by tensor.
fn between(start: &Params, end: &Params, alpha: f64) -> Params {
    let blend = |(from, to): (&Parameter, &Parameter)| {
        let at = |(a, b): (&f32, &f32)| ((1.0 - alpha) * f64::from(*a) + alpha * f64::from(*b)) as f32;
        Parameter { values: from.values.iter().zip(&to.values).map(at).collect(), ..from.clone() }
    };
    Params(start.iter().zip(end).map(blend).collect())
}

/// Adds σ u to what was learned, u normal: of equal draws it is the same at every σ, so that errors over σ differ by σ alone.
fn with_noise(mut values: Params, sigma: f64, seed: u64, draw: u32) -> Params {
    for tensor in values.0.iter_mut().filter(|tensor| is_learned(tensor)) {
        let mut stream = rng::stream(seed, &["noise", &draw.to_string(), &tensor.name]);
        let noise = tensor.values.iter_mut();
        noise.for_each(|value| *value = (f64::from(*value) + sigma * stream.normal()) as f32);
    }
    values
}

fn is_learned(tensor: &Parameter) -> bool {
    !tensor.name.contains(".running_")
}

/// Moves each layer in a direction of its own, as far as it is from `start`.
fn moved(layers: &[&str], start: &Params, mut end: Params, seed: u64, draw: u32) -> Params {
    for layer in layers {
        let places: Vec<usize> = (0..end.0.len())
            .filter(|place| {
                end.0[*place].name.starts_with(&format!("{layer}.")) && is_learned(&end.0[*place])
            })
            .collect();
        let mut squares = [0.0; 2];
        let mut directions = Vec::new();
        for place in &places {
            let (tensor, before) = (&end.0[*place], &start.0[*place].values);
            let mut stream = rng::stream(seed, &["matched", &draw.to_string(), &tensor.name]);
            let direction: Vec<f64> = tensor.values.iter().map(|_| stream.normal()).collect();
            let steps = tensor.values.iter().zip(before).map(|(a, b)| f64::from(*a) - f64::from(*b));
            squares[0] += steps.map(|step| step * step).sum::<f64>();
            squares[1] += direction.iter().map(|step| step * step).sum::<f64>();
            directions.push(direction);
        }
        let scale = (squares[0] / squares[1]).sqrt();
        for (place, direction) in places.into_iter().zip(directions) {
            let values = end.0[place].values.iter_mut().zip(direction);
            values.for_each(|(value, step)| *value = (f64::from(*value) + scale * step) as f32);
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::{Arch, Fcn};

    #[test]
    fn the_path_goes_from_the_start_to_the_end() {
        let network = Arch::Fcn(Fcn { depth: 2, width: 5 }).network([1, 2, 2], 3);
        let (start, end) = (network.init(0), network.draw(0, 1));
        assert_eq!((between(&start, &end, 0.0), between(&start, &end, 1.0)), (start.clone(), end.clone()));
        for (at, (a, b)) in between(&start, &end, 0.25).iter().zip(start.iter().zip(&end)) {
            for (at, (a, b)) in at.values.iter().zip(a.values.iter().zip(&b.values)) {
                assert!((at - (0.75 * a + 0.25 * b)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_matched_direction_is_as_long_as_the_way_of_each_layer() {
        let network = Arch::Fcn(Fcn { depth: 2, width: 50 }).network([1, 8, 8], 3);
        let (start, end) = (network.init(0), network.draw(0, 1));
        let layers = ["layer1", "layer2", "layer3"];
        let go = |draw| moved(&layers, &start, end.clone(), 7, draw);
        let way = |from: &Params, to: &Params, layer: &str| {
            let tensors = from.iter().zip(to).filter(|(tensor, _)| tensor.name.starts_with(layer));
            let steps = tensors.flat_map(|(a, b)| a.values.iter().zip(&b.values));
            steps.map(|(a, b)| f64::from(b - a)).collect::<Vec<_>>()
        };
        let norm = |steps: &[f64]| steps.iter().map(|step| step * step).sum::<f64>().sqrt();
        for layer in layers {
            let (trained, random) = (way(&start, &end, layer), way(&end, &go(0), layer));
            assert!((norm(&random) / norm(&trained) - 1.0).abs() < 1e-4, "{layer}");
            let other = way(&end, &go(1), layer);
            let cosine =
                random.iter().zip(&other).map(|(a, b)| a * b).sum::<f64>() / norm(&random) / norm(&other);
            assert!(cosine.abs() < 0.35, "draws are independent: {cosine}");
        }
        assert_eq!(go(0), go(0));
    }

    #[test]
    fn noise_has_its_deviation_and_leaves_statistics_alone() {
        let arch: Arch =
            serde_json::from_str(r#"{"vgg": {"depth": 11, "width": 8, "head": 64, "bn": true}}"#).unwrap();
        let params = arch.network([3, 32, 32], 10).init(0);
        let noisy = |sigma, draw| with_noise(params.clone(), sigma, 5, draw);
        assert_eq!((noisy(0.0, 0), noisy(0.1, 0)), (params.clone(), noisy(0.1, 0)));
        let (mut count, mut squares, mut product) = (0.0, 0.0, 0.0);
        for (before, (once, other)) in params.iter().zip(noisy(0.1, 0).iter().zip(&noisy(0.1, 1))) {
            assert!(is_learned(before) || before == once, "{}", before.name);
            let steps = before.values.iter().zip(once.values.iter().zip(&other.values));
            for (before, (once, other)) in steps.filter(|_| is_learned(before)) {
                let (once, other) = (f64::from(once - before), f64::from(other - before));
                (count, squares, product) = (count + 1.0, squares + once * once, product + once * other);
            }
        }
        assert!((squares / count / 0.01 - 1.0).abs() < 0.05, "variance {}", squares / count);
        assert!((product / squares).abs() < 0.05, "draws are independent: {}", product / squares);
    }

    #[test]
    fn alphas_are_equal_if_they_look_equal() {
        assert_eq!(Alpha::try_from(0.1 + 0.2), Alpha::try_from(0.3));
        assert_eq!(f64::from(Alpha::try_from(0.25).unwrap()), 0.25);
        for wrong in [-0.1, 1.5, 0.1234, f64::NAN] {
            assert!(Alpha::try_from(wrong).is_err(), "{wrong}");
        }
    }
}
