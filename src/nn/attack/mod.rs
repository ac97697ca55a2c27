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
    /// The random swaps of an inference, if there are any.
    pub stochastic: Option<&'a Stochastic>,
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
        let Some(stochastic) = self.trial.stochastic else { return self.none() };
        let draw = |example| stochastic.draw(&mut self.stream(&format!("swaps {inference}"), example));
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
