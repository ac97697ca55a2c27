//! Vision transformers (Dosovitskiy et al.), with a class token and norms before each part of a block.
//!
//! A layer of the network is the embedding of patches (`patch_embed`, with the class token and the positions), a whole block
//! (`blocks.0`), or the head (`head`, with the last norm). Within them, tensors have their names in timm, and so their initial
//! values: N(0, 0.02²) for weights, zero for biases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::import::{Names, Prefix};
use crate::nn::init::Distribution;
use crate::nn::kernels::Window;
use crate::nn::links::attention::Attention;
use crate::nn::links::convolution::Convolution;
use crate::nn::links::dense::Dense;
use crate::nn::links::gelu::Gelu;
use crate::nn::links::layer_norm::LayerNorm;
use crate::nn::links::sequence::Sequence;
use crate::nn::links::shortcut::Shortcut;
use crate::nn::links::tokens::{Embed, First};
use crate::nn::links::{Link, Shape};
use crate::nn::network::{Layer, Network};
use crate::nn::problem::{self, Problem};
use crate::nn::zoo::Model;

/// Of weights and of the numbers that tell positions apart.
const WEIGHT: Distribution = Distribution::Normal { std: 0.02 };
/// Of the class token: its position tells it apart already.
const TOKEN: Distribution = Distribution::Normal { std: 1e-6 };

/// Sizes of a vision transformer; its layers are `patch_embed`, `blocks.0` and so on, `head`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vit {
    /// Number of blocks.
    pub depth: usize,
    /// Numbers that a block has for each patch.
    pub width: usize,
    /// Heads of an attention; each has its share of the width.
    pub heads: usize,
    /// Height and width of a patch, in pixels: 4 if not given.
    #[serde(default = "four", skip_serializing_if = "is_four")]
    pub patch: usize,
    /// How many times wider than the block its hidden layer is: 4 if not given.
    #[serde(default = "four", skip_serializing_if = "is_four")]
    pub mlp: usize,
}

fn four() -> usize {
    4
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_four(value: &usize) -> bool {
    *value == four()
}

impl Vit {
    /// A convolution that sees each patch once, then the class token and the positions.
    fn embedding(&self, [channels, height, width]: [usize; 3]) -> Sequence {
        let window = Window { kernel: [self.patch; 2], stride: [self.patch; 2], padding: [0, 0] };
        let distribution = Distribution::fan_in(channels * self.patch * self.patch);
        let patches = Convolution {
            input: Shape { channels, map: [height, width] },
            channels: self.width,
            window,
            relu: false,
            weight: distribution,
            bias: Some(distribution),
        };
        let embed = Embed { input: patches.output(), token: TOKEN, positions: WEIGHT };
        Sequence(vec![("proj", Box::new(patches)), ("", Box::new(embed))])
    }

    /// Attention, then a hidden layer at each position; each behind a norm, and added to what it is given.
    fn block(&self, shape: Shape) -> Sequence {
        let hidden = Shape { channels: self.mlp * self.width, ..shape };
        let attention = Attention { output: shape, heads: self.heads };
        let attention: Vec<(_, Box<dyn Link>)> = vec![
            ("norm1", Box::new(LayerNorm(shape))),
            ("attn.qkv", Box::new(dense(shape, 3 * self.width))),
            ("", Box::new(attention)),
            ("attn.proj", Box::new(dense(shape, self.width))),
        ];
        let perceptron: Vec<(_, Box<dyn Link>)> = vec![
            ("norm2", Box::new(LayerNorm(shape))),
            ("mlp.fc1", Box::new(dense(shape, hidden.channels))),
            ("", Box::new(Gelu(hidden))),
            ("mlp.fc2", Box::new(dense(hidden, self.width))),
        ];
        let shortcut = |parts| -> Box<dyn Link> { Box::new(Shortcut::around(Sequence(parts))) };
        Sequence(vec![("", shortcut(attention)), ("", shortcut(perceptron))])
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

impl Model for Vit {
    fn name(&self) -> String {
        format!("vit{}x{}", self.depth, self.width)
    }

    fn problem(&self) -> Option<Problem> {
        let hint = "give 1 or more";
        let some = |path, message| Problem { path, message, hint };
        let share = Problem {
            path: "vit.heads",
            message: "the heads have no equal shares of the width",
            hint: "give a divisor of 'width'",
        };
        problem::first([
            (self.depth >= 1, some("vit.depth", "there is no block")),
            (self.width >= 1, some("vit.width", "the blocks are empty")),
            (self.heads >= 1, some("vit.heads", "there is no head")),
            (self.patch >= 1, some("vit.patch", "the patches are empty")),
            (self.mlp >= 1, some("vit.mlp", "the hidden layers are empty")),
            (self.width.is_multiple_of(self.heads), share),
        ])
    }

    fn misfit(&self, [_, height, width]: [usize; 3]) -> Option<Problem> {
        let fits = height.is_multiple_of(self.patch) && width.is_multiple_of(self.patch);
        let message = "the images cannot be cut into patches of this size";
        let hint = "give a divisor of the images' height and width";
        problem::first([(fits, Problem { path: "vit.patch", message, hint })])
    }

    fn prefixes(&self, names: Names) -> Option<Vec<Prefix>> {
        let prefixes = [
            ("patch_embed.cls_token", "cls_token"),
            ("patch_embed.pos_embed", "pos_embed"),
            ("head.norm.", "norm."),
        ];
        let prefixes = prefixes.map(|(ours, theirs)| Prefix::new(ours, theirs));
        (names == Names::Timm).then_some(prefixes.into())
    }

    fn network(&self, shape: [usize; 3], classes: usize) -> Network {
        let embedding = self.embedding(shape);
        let shape = embedding.output();
        let flat = Shape::flat(self.width);
        let head: Vec<(_, Box<dyn Link>)> = vec![
            ("", Box::new(First(shape))),
            ("norm", Box::new(LayerNorm(flat))),
            ("", Box::new(dense(flat, classes))),
        ];
        let mut layers = vec![("patch_embed".into(), embedding)];
        layers.extend((0..self.depth).map(|index| (format!("blocks.{index}"), self.block(shape))));
        layers.push(("head".into(), Sequence(head)));
        let layer =
            |(name, parts): (String, Sequence)| Layer { name: LayerName::new(name), link: Box::new(parts) };
        Network::new(layers.into_iter().map(layer).collect())
    }
}
