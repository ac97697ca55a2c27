//! Attacks: images that are moved a little so that the network errs (Goodfellow et al., FGSM; Madry et al., PGD).
//!
//! No pixel is moved by more than a radius, nor out of the range of pixels. Pixels are in units of a byte, so that images as published
//! and those of FGSM are exact: the usual radius of 8/255 is 8. The gradient is that of the network in evaluation ([`target`]), which
//! may be a random one ([`stochastic`]).
//!
//! Every random number is a function of the seed and of what it is for, down to the example. Not here: attacks that know of the
//! randomness and average over it, and other norms than the largest.

pub mod stochastic;
pub mod target;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::cancel::Cancel;
use crate::base::rng::{self, Stream};
use crate::nn::attack::stochastic::Stochastic;
use crate::nn::attack::target::{Swap, Target};

/// The largest pixel.
const WHITE: f32 = 255.0;

/// How images are moved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Attack {
    /// Not at all.
    Clean,
    /// Every pixel by the radius, in the direction in which the loss grows.
    Fgsm,
    /// In steps, from a random point within the radius.
    Pgd,
}

impl Attack {
    /// The word in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Fgsm => "fgsm",
            Self::Pgd => "pgd",
        }
    }
}

/// How far images are moved, in units of a byte.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// No pixel further than this.
    pub radius: f32,
    /// Steps of PGD.
    pub steps: u32,
    /// How far each of them goes.
    pub step_size: f32,
}

impl Limits {
    /// FGSM: one step of the radius. `gradient` writes that of the loss at the images that it is given, and says whether to go on.
    pub fn fgsm<E>(
        &self,
        images: &mut [f32],
        gradient: impl FnOnce(&[f32], &mut [f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut slope = vec![0.0; images.len()];
        gradient(images, &mut slope)?;
        for (pixel, slope) in images.iter_mut().zip(&slope) {
            *pixel = (*pixel + self.radius * sign(*slope)).clamp(0.0, WHITE);
        }
        Ok(())
    }

    /// PGD from images moved by `start`; `gradient` is likewise, and is told the step.
    pub fn pgd<E>(
        &self,
        images: &mut [f32],
        start: &[f32],
        mut gradient: impl FnMut(u32, &[f32], &mut [f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let origin = images.to_vec();
        let mut slope = vec![0.0; images.len()];
        let within = |pixel: f32, origin: f32| {
            pixel.clamp(origin - self.radius, origin + self.radius).clamp(0.0, WHITE)
        };
        for ((pixel, origin), start) in images.iter_mut().zip(&origin).zip(start) {
            *pixel = within(origin + start, *origin);
        }
        for step in 0..self.steps {
            gradient(step, images, &mut slope)?;
            for ((pixel, origin), slope) in images.iter_mut().zip(&origin).zip(&slope) {
                *pixel = within(*pixel + self.step_size * sign(*slope), *origin);
            }
        }
        Ok(())
    }
}

/// −1, 0 or 1.
fn sign(value: f32) -> f32 {
    if value == 0.0 || value.is_nan() { 0.0 } else { value.signum() }
}

/// The user wanted to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Cancelled;

/// What the attacks on the inferences of one network have in common.
pub struct Trial<'a> {
    /// Class of each example.
    pub labels: &'a [u16],
    /// Numbers per example.
    pub features: usize,
    /// Writes the images of these examples, in units of a byte.
    pub images: &'a (dyn Fn(Range<usize>, &mut [f32]) + Sync),
    /// Writes images as the network takes them.
    pub standardise: &'a (dyn Fn(&[f32], &mut [f32]) + Sync),
    /// How far images are moved.
    pub limits: Limits,
    /// The random swaps of an inference.
    pub stochastic: &'a Stochastic,
    /// Whether the attacker's gradients are of random networks too; else they are of the network as it is.
    pub samples: bool,
    /// Of all random numbers.
    pub seed: u64,
    /// Says when to end early.
    pub cancel: Cancel<'a>,
}

/// What a random number is for.
struct Purpose<'a> {
    trial: &'a Trial<'a>,
    attack: Attack,
    repeat: u32,
    /// The examples of a batch.
    range: Range<usize>,
}

impl Trial<'_> {
    /// Attacks these examples. How many are misclassified then?
    pub fn errors(
        &self,
        target: &mut Target,
        attack: Attack,
        repeat: u32,
        range: Range<usize>,
    ) -> Result<usize, Cancelled> {
        let purpose = Purpose { trial: self, attack, repeat, range: range.clone() };
        let labels = &self.labels[range.clone()];
        let mut images = vec![0.0; range.len() * self.features];
        let mut rows = images.clone();
        (self.images)(range, &mut images);
        let mut gradient = |step: u32, images: &[f32], out: &mut [f32]| {
            if self.cancel.is_set() {
                return Err(Cancelled);
            }
            (self.standardise)(images, &mut rows);
            let swaps = if self.samples { purpose.swaps(&step.to_string()) } else { purpose.none() };
            target.gradient(&rows, labels, &swaps, out);
            Ok(())
        };
        match attack {
            Attack::Clean => {}
            Attack::Fgsm => self.limits.fgsm(&mut images, |images, out| gradient(0, images, out))?,
            Attack::Pgd => self.limits.pgd(&mut images, &purpose.start(), gradient)?,
        }
        (self.standardise)(&images, &mut rows);
        if self.cancel.is_set() {
            Err(Cancelled)
        } else {
            Ok(target.errors(&rows, labels, &purpose.swaps("final")))
        }
    }
}

impl Purpose<'_> {
    fn stream(&self, what: &str, example: usize) -> Stream {
        let labels = ["attack", self.attack.as_str(), &self.repeat.to_string(), what, &example.to_string()];
        rng::stream(self.trial.seed, &labels)
    }

    /// The swaps of each example at an inference.
    fn swaps(&self, inference: &str) -> Vec<Vec<Swap>> {
        let draw =
            |example| self.trial.stochastic.draw(&mut self.stream(&format!("swaps {inference}"), example));
        self.range.clone().map(draw).collect()
    }

    fn none(&self) -> Vec<Vec<Swap>> {
        vec![Vec::new(); self.range.len()]
    }

    /// Where PGD starts: uniform within the radius.
    fn start(&self) -> Vec<f32> {
        let radius = f64::from(self.trial.limits.radius);
        let of_example = |example| {
            let mut stream = self.stream("start", example);
            (0..self.trial.features).map(move |_| stream.uniform(-radius, radius) as f32)
        };
        self.range.clone().flat_map(of_example).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::nn::network::Network;
    use crate::nn::zoo::Arch;

    #[test]
    fn images_stay_within_the_radius_and_the_range() {
        let limits = Limits { radius: 8.0, steps: 10, step_size: 3.0 };
        let slopes = [1e-30, -2.0, 0.0, f32::NAN, 5.0, -5.0];
        let copy = |slope: &mut [f32]| {
            slope.copy_from_slice(&slopes);
            Ok::<(), Infallible>(())
        };
        let mut images = [100.0, 100.0, 7.0, 8.0, 250.0, 3.0];
        limits.fgsm(&mut images, |_, out| copy(out)).unwrap();
        assert_eq!(images, [108.0, 92.0, 7.0, 8.0, 255.0, 0.0]);

        let (clean, start) = ([100.0, 100.0, 7.0, 8.0, 250.0, 3.0], [-8.0, 1.0, -8.0, 8.0, 8.0, -1.0]);
        let mut images = clean;
        let mut seen = Vec::new();
        let one = Limits { steps: 1, ..limits };
        let gradient = |_, images: &[f32], out: &mut [f32]| {
            seen.push(images.to_vec());
            copy(out)
        };
        one.pgd(&mut images, &start, gradient).unwrap();
        assert_eq!(seen, [[92.0, 101.0, 0.0, 16.0, 255.0, 2.0]]);
        assert_eq!(images, [95.0, 98.0, 0.0, 16.0, 255.0, 0.0]);
        let mut images = clean;
        limits.pgd(&mut images, &start, |_, _, out| copy(out)).unwrap();
        assert_eq!(images, [108.0, 92.0, 0.0, 16.0, 255.0, 0.0]);
    }

    fn network(text: &str) -> Network {
        serde_json::from_str::<Arch>(text).unwrap().network([3, 8, 8], 3)
    }

    /// Per image, of 24; with the attacker's and the defender's random blocks, on so many threads, so many images at a time.
    fn errors(attack: Attack, samples: bool, threads: usize, at_once: usize) -> Vec<usize> {
        let network = network(r#"{"identity_resnet": {"stages": 2, "blocks": 2, "width": 3}}"#);
        let stochastic = Stochastic::new(&network, 1, 2).unwrap();
        let sets = [network.draw(0, 0), network.draw(0, 1)];
        let mut target = Target::new(&network, &network.init(0), &sets, &stochastic.swappable());
        let pixel = |index: usize| rng::stream(7, &[&index.to_string()]).below(256) as f32;
        let images = |range: Range<usize>, out: &mut [f32]| {
            out.iter_mut().enumerate().for_each(|(index, out)| *out = pixel(range.start * 192 + index));
        };
        let standardise = |images: &[f32], rows: &mut [f32]| {
            rows.iter_mut().zip(images).for_each(|(row, pixel)| *row = (pixel - 128.0) / 32.0);
        };
        let labels: Vec<u16> = (0..24).map(|example| example % 3).collect();
        let never = AtomicBool::new(false);
        let trial = Trial {
            labels: &labels,
            features: 192,
            images: &images,
            standardise: &standardise,
            limits: Limits { radius: 24.0, steps: 2, step_size: 16.0 },
            stochastic: &stochastic,
            samples,
            seed: 0,
            cancel: Cancel::new(&never),
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let batch = |first| pool.install(|| trial.errors(&mut target, attack, 0, first..first + at_once));
        (0..24).step_by(at_once).map(batch).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn neither_threads_nor_the_other_images_matter() {
        for (attack, samples) in
            [(Attack::Clean, true), (Attack::Fgsm, true), (Attack::Pgd, true), (Attack::Pgd, false)]
        {
            let single = errors(attack, samples, 1, 1);
            let together = errors(attack, samples, 2, 8);
            let sums: Vec<usize> = single.chunks(8).map(|some| some.iter().sum()).collect();
            assert_eq!(sums, together, "{attack:?}");
            assert!(single.contains(&0) && single.contains(&1), "{single:?}");
        }
    }

    #[test]
    fn blocks_with_an_identity_skip_can_be_swapped() {
        let names = |text: &str| {
            let network = network(text);
            let stages = Stochastic::new(&network, 1, 1).unwrap();
            let name = |place: usize| network.layers()[place].name.to_string();
            stages.swappable().into_iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let small = "stage1.resblk1 stage1.resblk2 stage2.resblk2 stage3.resblk2 stage4.resblk2";
        assert_eq!(names(r#"{"resnet": {"depth": 18, "width": 3}}"#), small);
        assert!(!names(r#"{"resnet": {"depth": 50, "width": 3}}"#).contains(".resblk1"));
        for (text, wanted, present) in [
            (r#"{"resnet": {"depth": 18, "width": 3}}"#, 5, 4),
            (r#"{"fcn": {"depth": 3, "width": 3}}"#, 1, 0),
        ] {
            let error = Stochastic::new(&network(text), wanted, 1).unwrap_err();
            assert_eq!(error, stochastic::TooFewStages { wanted, present });
        }
    }

    #[test]
    fn each_inference_swaps_one_block_of_each_of_some_stages() {
        let network = network(r#"{"identity_resnet": {"stages": 4, "blocks": 2, "width": 3}}"#);
        let stochastic = Stochastic::new(&network, 3, 4).unwrap();
        let (mut seen, stages) = (BTreeSet::new(), |place: usize| place / 3);
        for inference in 0..200 {
            let swaps = stochastic.draw(&mut rng::stream(inference, &[]));
            assert_eq!(swaps.iter().map(|(place, _)| stages(*place - 1)).collect::<BTreeSet<_>>().len(), 3);
            seen.extend(swaps);
        }
        assert_eq!(seen.len(), 4 * 2 * 4, "every block of every stage, for every set");
    }
}
