//! VGG (Simonyan and Zisserman), as the study has it for small images: five stages of 3×3 convolutions, each stage halved at its end,
//! and a head of 4096 → 4096 → classes (its appendix A).
//!
//! | depth | convolutions per stage (64, 128, 256, 512, 512 channels) |
//! | --- | --- |
//! | 11 | 1, 1, 2, 2, 2 |
//! | 13 | 2, 2, 2, 2, 2 |
//! | 16 | 2, 2, 3, 3, 3 |
//! | 19 | 2, 2, 4, 4, 4 |
//!
//! With `bn`, a norm stands between each convolution and its ReLU, and belongs to the convolution's layer. `width` is that of the first
//! stage, and scales the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::import::{Names, Prefix};
use crate::nn::init::Distribution;
use crate::nn::kernels::Window;
use crate::nn::links::convolution::Convolution;
use crate::nn::links::dense::Dense;
use crate::nn::links::flatten::Flatten;
use crate::nn::links::norm::BatchNorm;
use crate::nn::links::pool::Pool;
use crate::nn::links::sequence::Sequence;
use crate::nn::links::{Link, Shape};
use crate::nn::network::{Layer, Network};
use crate::nn::problem::{self, Problem};
use crate::nn::zoo::{self, Model};

/// Channels of each stage, in widths.
const CHANNELS: [usize; 5] = [1, 2, 4, 8, 8];

/// Depth of a VGG, and whether it has batch norms; its layers are `stage1.block1` and so on, `fc1`, `fc2`, `final_linear`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vgg {
    /// Number of layers with weights: 11, 13, 16 or 19.
    pub depth: usize,
    /// Whether there are batch norms.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bn: bool,
    /// Channels of the first stage.
    #[serde(default = "zoo::width", skip_serializing_if = "zoo::is_width")]
    pub width: usize,
    /// Width of the two hidden layers of the head.
    #[serde(default = "head", skip_serializing_if = "is_head")]
    pub head: usize,
}

fn head() -> usize {
    4096
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_head(width: &usize) -> bool {
    *width == head()
}

impl Vgg {
    /// Convolutions of each stage.
    fn blocks(&self) -> Option<[usize; 5]> {
        match self.depth {
            11 => Some([1, 1, 2, 2, 2]),
            13 => Some([2, 2, 2, 2, 2]),
            16 => Some([2, 2, 3, 3, 3]),
            19 => Some([2, 2, 4, 4, 4]),
            _ => None,
        }
    }

    /// A 3×3 convolution, perhaps a norm, and a ReLU; at the end of a stage, the largest of each 2×2 window follows.
    fn convolution(&self, input: Shape, channels: usize, is_last: bool) -> Box<dyn Link> {
        let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
        let weight = Distribution::glorot(9 * input.channels, 9 * channels);
        let bias = Some(Distribution::Zero);
        let convolution = Convolution { input, channels, window, relu: !self.bn, weight, bias };
        let shape = convolution.output();
        if !self.bn && !is_last {
            return Box::new(convolution);
        }
        let name = if self.bn { "conv" } else { "" };
        let mut parts: Vec<(&'static str, Box<dyn Link>)> = vec![(name, Box::new(convolution))];
        if self.bn {
            parts.push(("norm", Box::new(BatchNorm { shape, relu: true })));
        }
        if is_last {
            parts.push(("", Box::new(Pool::halve(shape))));
        }
        Box::new(Sequence(parts))
    }
}

impl Model for Vgg {
    fn name(&self) -> String {
        format!("vgg{}{}{}", self.depth, zoo::suffix(self.width), if self.bn { "-bn" } else { "" })
    }

    fn problem(&self) -> Option<Problem> {
        let depth =
            Problem { path: "vgg.depth", message: "there is no such VGG", hint: "give 11, 13, 16 or 19" };
        let head =
            Problem { path: "vgg.head", message: "the hidden layers are empty", hint: "give 1 or more" };
        let width = Problem { path: "vgg.width", message: "there are no channels", hint: "give 1 or more" };
        problem::first([(self.blocks().is_some(), depth), (self.width >= 1, width), (self.head >= 1, head)])
    }

    fn misfit(&self, [_, height, width]: [usize; 3]) -> Option<Problem> {
        let message = "the images are too small: five stages halve them, so they have 32×32 pixels or more";
        let hint = "train it on larger images, or take a residual network";
        problem::first([(height.min(width) >= 32, Problem { path: "vgg", message, hint })])
    }

    /// torchvision numbers everything, what has no tensors too. Its head is behind a map of 7×7: for images of 224×224.
    fn prefixes(&self, names: Names) -> Option<Vec<Prefix>> {
        let (mut prefixes, mut number) = (Vec::new(), 0);
        for (stage, count) in (1..).zip(self.blocks()?) {
            for block in 1..=count {
                let ours = format!("stage{stage}.block{block}.");
                if self.bn {
                    prefixes.push(Prefix::new(ours.clone() + "conv.", format!("features.{number}.")));
                    prefixes.push(Prefix::new(ours + "norm.", format!("features.{}.", number + 1)));
                } else {
                    prefixes.push(Prefix::new(ours, format!("features.{number}.")));
                }
                number += 2 + usize::from(self.bn);
            }
            number += 1;
        }
        for (ours, number) in [("fc1.", 0), ("fc2.", 3), ("final_linear.", 6)] {
            prefixes.push(Prefix::new(ours, format!("classifier.{number}.")));
        }
        (names == Names::Torchvision).then_some(prefixes)
    }

    fn network(&self, [channels, height, width]: [usize; 3], classes: usize) -> Network {
        let mut shape = Shape { channels, map: [height, width] };
        let mut layers = Vec::new();
        let mut push = |name: String, link: Box<dyn Link>| {
            layers.push(Layer { name: LayerName::new(name), link });
        };
        let blocks = self.blocks().expect("the depth was checked");
        for (stage, (count, channels)) in blocks.into_iter().zip(CHANNELS).enumerate() {
            for block in 1..=count {
                let link = self.convolution(shape, channels * self.width, block == count);
                shape = link.output();
                push(format!("stage{}.block{block}", stage + 1), link);
            }
        }
        let mut inputs = shape.count();
        for (name, outputs) in [("fc1", self.head), ("fc2", self.head), ("final_linear", classes)] {
            let weight = Distribution::glorot(inputs, outputs);
            let relu = name != "final_linear";
            let mut parts: Vec<(_, Box<dyn Link>)> = Vec::new();
            if name == "fc1" && shape.positions() > 1 {
                parts.push(("", Box::new(Flatten(shape))));
            }
            parts.push(("", Box::new(Dense { weight, ..Dense::new(inputs, outputs, relu) })));
            push(name.into(), Box::new(Sequence(parts)));
            inputs = outputs;
        }
        Network::new(layers)
    }
}
