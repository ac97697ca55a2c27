//! Residual networks with pre-activation (He et al., "Identity mappings", V2), as the study has them (its appendix A).
//!
//! | depth | block | blocks per stage |
//! | --- | --- | --- |
//! | 18, 34 | two 3×3 convolutions | 2, 2, 2, 2; 3, 4, 6, 3 |
//! | 50, 101, 152 | 1×1, 3×3, 1×1 with four times the channels | 3, 4, 6, 3; 3, 4, 23, 3; 3, 8, 36, 3 |
//!
//! A layer of the network is the stem (`stage0`), a whole block (`stage1.resblk1`), or the head (`final_linear`, with the last norm).
//! Without `bn`, the norms vanish. `width` is that of the first stage, and scales the others; `stem` is for small or for large images. Blocks whose skip is an identity may be left
//! out (`without`: the study's Table 1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::init::Distribution;
use crate::nn::kernels::Window;
use crate::nn::layer_set::{Chosen, Selection};
use crate::nn::links::convolution::Convolution;
use crate::nn::links::dense::Dense;
use crate::nn::links::norm::BatchNorm;
use crate::nn::links::pool::Pool;
use crate::nn::links::rectify::Rectify;
use crate::nn::links::residual::Residual;
use crate::nn::links::sequence::Sequence;
use crate::nn::links::{Link, Shape};
use crate::nn::network::{Layer, Network};
use crate::nn::problem::{self, Problem};
use crate::nn::zoo::{self, Model};

/// Channels that the 3×3 convolutions of each stage give, in widths.
pub(super) const CHANNELS: [usize; 4] = [1, 2, 4, 8];

/// Blocks of each stage, in a network of this depth.
pub(super) fn blocks(depth: usize) -> Option<[usize; 4]> {
    match depth {
        18 => Some([2, 2, 2, 2]),
        34 | 50 => Some([3, 4, 6, 3]),
        101 => Some([3, 4, 23, 3]),
        152 => Some([3, 8, 36, 3]),
        _ => None,
    }
}

/// What stands before the blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// A 3×3 convolution: for small images.
    #[default]
    Cifar,
    /// A 7×7 convolution and a maximum, each of which halves the map: for large ones.
    Imagenet,
}

impl Stem {
    /// Size and stride of its convolution.
    pub(super) fn convolution(self) -> [usize; 2] {
        match self {
            Self::Cifar => [3, 1],
            Self::Imagenet => [7, 2],
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
    fn is_cifar(&self) -> bool {
        *self == Self::Cifar
    }
}

/// Depth of a residual network, how it begins, and whether it has batch norms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResNet {
    /// Number of layers with weights: 18, 34, 50, 101 or 152.
    pub depth: usize,
    /// Whether there are batch norms.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bn: bool,
    /// How it begins: as for small images if not given.
    #[serde(default, skip_serializing_if = "Stem::is_cifar")]
    pub stem: Stem,
    /// Channels of the first stage.
    #[serde(default = "zoo::width", skip_serializing_if = "zoo::is_width")]
    pub width: usize,
    /// Blocks to leave out, by names and patterns; all but the first of each stage can be.
    #[serde(default, deserialize_with = "Chosen::read", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Chosen>")]
    pub without: Option<Selection>,
}

/// A block of a stage.
struct Place {
    name: LayerName,
    /// That its 3×3 convolutions give.
    channels: usize,
    stride: usize,
}

/// The parts of a sequence, named.
pub(super) type Parts = Vec<(&'static str, Box<dyn Link>)>;

impl ResNet {
    fn stem(&self, input: Shape) -> Box<dyn Link> {
        let [size, stride] = self.stem.convolution();
        let convolution = convolution(input, self.width, size, stride);
        if self.stem == Stem::Cifar {
            return Box::new(convolution);
        }
        let pool = Pool::overlapping(convolution.output());
        Box::new(Sequence(vec![("", Box::new(convolution)), ("", Box::new(pool))]))
    }

    /// All blocks, in chain order.
    fn places(&self) -> Vec<Place> {
        let stages = blocks(self.depth).into_iter().flatten().zip(CHANNELS).enumerate();
        let place = |stage: usize, channels: usize, block: usize| Place {
            name: LayerName::new(format!("stage{}.resblk{block}", stage + 1)),
            channels: channels * self.width,
            stride: if block == 1 && stage > 0 { 2 } else { 1 },
        };
        stages
            .flat_map(|(stage, (count, channels))| {
                (1..=count).map(move |block| place(stage, channels, block))
            })
            .collect()
    }

    /// The blocks to leave out; `None` if these are none, or cannot be.
    fn left_out(&self) -> Option<Vec<LayerName>> {
        let Some(without) = &self.without else { return Some(Vec::new()) };
        let blocks: Vec<_> = self.places().into_iter().map(|place| place.name).collect();
        let chosen = without.of(&blocks).ok()?;
        let can_be = |name: &LayerName| !name.as_str().ends_with(".resblk1");
        chosen.iter().all(can_be).then_some(chosen)
    }

    /// The widths, sizes and strides of a block's convolutions.
    fn convolutions(&self, channels: usize, stride: usize) -> Vec<[usize; 3]> {
        if self.depth < 50 {
            vec![[channels, 3, stride], [channels, 3, 1]]
        } else {
            vec![[channels, 1, 1], [channels, 3, stride], [4 * channels, 1, 1]]
        }
    }

    /// A block; one that changes the shape has a convolution beside it. (In ResNet-18 and 34 the first block of the first stage does not:
    /// it survives re-randomization in Figure 4a, as identity skips do.)
    fn block(&self, input: Shape, channels: usize, stride: usize) -> Residual {
        const NAMES: [(&str, &str); 3] = [("conv1", "norm2"), ("conv2", "norm3"), ("conv3", "")];
        let before: Box<dyn Link> = Box::new(Sequence(activation(self.bn, "norm1", input)));
        let convolutions = self.convolutions(channels, stride);
        let (mut parts, mut shape): (Parts, _) = (Vec::new(), input);
        for (index, ([channels, size, stride], (name, norm))) in convolutions.iter().zip(NAMES).enumerate() {
            let convolution = convolution(shape, *channels, *size, *stride);
            shape = convolution.output();
            parts.push((name, Box::new(convolution)));
            if index + 1 < convolutions.len() {
                parts.extend(activation(self.bn, norm, shape));
            }
        }
        let skip = (shape != input).then(|| -> Box<dyn Link> {
            Box::new(Sequence(vec![("skip", Box::new(convolution(input, shape.channels, 1, stride)))]))
        });
        Residual { before, body: Box::new(Sequence(parts)), skip }
    }
}

impl Model for ResNet {
    fn name(&self) -> String {
        let bn = if self.bn { "-bn" } else { "" };
        let left_out = self.left_out().unwrap_or_default().len();
        let without = if left_out == 0 { String::new() } else { format!("-without-{left_out}") };
        let stem = if self.stem == Stem::Cifar { "" } else { "-imagenet" };
        format!("resnet{}{}{stem}{bn}{without}", self.depth, zoo::suffix(self.width))
    }

    fn problem(&self) -> Option<Problem> {
        let depth = Problem {
            path: "resnet.depth",
            message: "there is no such residual network",
            hint: "give 18, 34, 50, 101 or 152",
        };
        let width =
            Problem { path: "resnet.width", message: "there are no channels", hint: "give 1 or more" };
        let without = Problem {
            path: "resnet.without",
            message: "it does not name blocks whose skip is an identity",
            hint: "write patterns, as in '[\"stage*.*\", \"!*.resblk1\"]'",
        };
        let is_sound = blocks(self.depth).is_none() || self.width == 0 || self.left_out().is_some();
        let checks = [(blocks(self.depth).is_some(), depth), (self.width >= 1, width), (is_sound, without)];
        problem::first(checks)
    }

    fn network(&self, [channels, height, width]: [usize; 3], classes: usize) -> Network {
        let stem = self.stem(Shape { channels, map: [height, width] });
        let mut shape = stem.output();
        let mut layers = Vec::new();
        let mut push = |name: LayerName, link: Box<dyn Link>| layers.push(Layer { name, link });
        push(LayerName::new("stage0"), stem);
        let left_out = self.left_out().expect("the blocks were checked");
        for Place { name, channels, stride } in self.places() {
            if left_out.contains(&name) {
                continue;
            }
            let residual = self.block(shape, channels, stride);
            shape = residual.output();
            push(name, Box::new(residual));
        }
        let mut head = activation(self.bn, "norm", shape);
        head.push(("", Box::new(Pool::global_mean(shape))));
        head.push(("", Box::new(Dense::new(shape.channels, classes, false))));
        push(LayerName::new("final_linear"), Box::new(Sequence(head)));
        Network::new(layers)
    }
}

/// A norm and a ReLU, or the ReLU alone.
pub(super) fn activation(bn: bool, name: &'static str, shape: Shape) -> Parts {
    if bn {
        vec![(name, Box::new(BatchNorm { shape, relu: true }))]
    } else {
        vec![("", Box::new(Rectify(shape)))]
    }
}

/// A convolution that keeps the map's size but for its stride, without bias and ReLU.
pub(super) fn convolution(input: Shape, channels: usize, size: usize, stride: usize) -> Convolution {
    let window = Window { kernel: [size; 2], stride: [stride; 2], padding: [size / 2; 2] };
    let weight = Distribution::fan_in(size * size * input.channels);
    Convolution { input, channels, window, relu: false, weight, bias: None }
}
