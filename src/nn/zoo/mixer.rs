//! MLP-Mixer (Tolstikhin et al. 2021): hidden layers across the patches and across the channels, in turn.
//!
//! A layer of the network is the embedding of patches (`stem`), a whole block (`blocks.0`), or the head (`head`, with the last norm).
//! Within them, tensors have their names in timm, and so their initial values: N(0, 0.02²) for weights, zero for biases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::import::{Names, Prefix};
use crate::nn::init::Distribution;
use crate::nn::kernels::Window;
use crate::nn::links::convolution::Convolution;
use crate::nn::links::dense::Dense;
use crate::nn::links::gelu::Gelu;
use crate::nn::links::layer_norm::LayerNorm;
use crate::nn::links::pool::Pool;
use crate::nn::links::sequence::Sequence;
use crate::nn::links::shortcut::Shortcut;
use crate::nn::links::transpose::Transpose;
use crate::nn::links::{Link, Shape};
use crate::nn::network::{Layer, Network};
use crate::nn::problem::{self, Problem};
use crate::nn::zoo::Model;

const WEIGHT: Distribution = Distribution::Normal { std: 0.02 };

/// Sizes of a mixer; its layers are `stem`, `blocks.0` and so on, `head`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mixer {
    /// Number of blocks.
    pub depth: usize,
    /// Numbers that a block has for each patch.
    pub width: usize,
    /// Width of the hidden layer across the patches.
    pub tokens: usize,
    /// Width of the hidden layer across the channels.
    pub channels: usize,
    /// Height and width of a patch, in pixels.
    pub patch: usize,
}

/// The parts of a sequence, named.
type Parts = Vec<(&'static str, Box<dyn Link>)>;

impl Mixer {
    /// A convolution that sees each patch once.
    fn stem(&self, [channels, height, width]: [usize; 3]) -> Convolution {
        let window = Window { kernel: [self.patch; 2], stride: [self.patch; 2], padding: [0, 0] };
        let distribution = Distribution::fan_in(channels * self.patch * self.patch);
        Convolution {
            input: Shape { channels, map: [height, width] },
            channels: self.width,
            window,
            relu: false,
            weight: distribution,
            bias: Some(distribution),
        }
    }

    /// A hidden layer across the patches, then one across the channels; each behind a norm, and added to what it is given.
    fn block(&self, shape: Shape) -> Sequence {
        let across = Shape { channels: shape.positions(), map: [shape.channels, 1] };
        let hidden = Shape { channels: self.tokens, ..across };
        let tokens: Parts = vec![
            ("norm1", Box::new(LayerNorm(shape))),
            ("", Box::new(Transpose { input: shape, map: across.map })),
            ("mlp_tokens.fc1", Box::new(dense(across, hidden.channels))),
            ("", Box::new(Gelu(hidden))),
            ("mlp_tokens.fc2", Box::new(dense(hidden, across.channels))),
            ("", Box::new(Transpose { input: across, map: shape.map })),
        ];
        let hidden = Shape { channels: self.channels, ..shape };
        let channels: Parts = vec![
            ("norm2", Box::new(LayerNorm(shape))),
            ("mlp_channels.fc1", Box::new(dense(shape, hidden.channels))),
            ("", Box::new(Gelu(hidden))),
            ("mlp_channels.fc2", Box::new(dense(hidden, shape.channels))),
        ];
        let shortcut = |parts| -> Box<dyn Link> { Box::new(Shortcut::around(Sequence(parts))) };
        Sequence(vec![("", shortcut(tokens)), ("", shortcut(channels))])
    }
}

/// A dense layer at each position.
fn dense(input: Shape, outputs: usize) -> Dense {
    Dense {
        map: input.map,
        weight: WEIGHT,
        bias: Distribution::Zero,
        ..Dense::new(input.channels, outputs, false)
    }
}

impl Model for Mixer {
    fn name(&self) -> String {
        format!("mixer{}x{}", self.depth, self.width)
    }

    fn problem(&self) -> Option<Problem> {
        let some = |path, message| Problem { path, message, hint: "give 1 or more" };
        problem::first([
            (self.depth >= 1, some("mixer.depth", "there is no block")),
            (self.width >= 1, some("mixer.width", "the blocks are empty")),
            (self.tokens >= 1, some("mixer.tokens", "the hidden layers across the patches are empty")),
            (self.channels >= 1, some("mixer.channels", "the hidden layers across the channels are empty")),
            (self.patch >= 1, some("mixer.patch", "the patches are empty")),
        ])
    }

    fn misfit(&self, [_, height, width]: [usize; 3]) -> Option<Problem> {
        let fits = height.is_multiple_of(self.patch) && width.is_multiple_of(self.patch);
        let message = "the images cannot be cut into patches of this size";
        let hint = "give a divisor of the images' height and width";
        problem::first([(fits, Problem { path: "mixer.patch", message, hint })])
    }

    fn prefixes(&self, names: Names) -> Option<Vec<Prefix>> {
        (names == Names::Timm).then(|| vec![Prefix::new("head.norm.", "norm.")])
    }

    fn network(&self, shape: [usize; 3], classes: usize) -> Network {
        let stem = self.stem(shape);
        let (shape, flat) = (stem.output(), Shape::flat(self.width));
        let head: Parts = vec![
            ("norm", Box::new(LayerNorm(shape))),
            ("", Box::new(Pool::global_mean(shape))),
            ("", Box::new(dense(flat, classes))),
        ];
        let mut layers = vec![("stem".into(), Sequence(vec![("proj", Box::new(stem))]))];
        layers.extend((0..self.depth).map(|index| (format!("blocks.{index}"), self.block(shape))));
        layers.push(("head".into(), Sequence(head)));
        let layer =
            |(name, parts): (String, Sequence)| Layer { name: LayerName::new(name), link: Box::new(parts) };
        Network::new(layers.into_iter().map(layer).collect())
    }
}
