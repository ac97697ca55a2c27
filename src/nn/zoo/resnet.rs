//! Residual networks with pre-activation (He et al., "Identity mappings", V2), as the study has them (its appendix A).
//!
//! | depth | block | blocks per stage |
//! | --- | --- | --- |
//! | 18, 34 | two 3×3 convolutions | 2, 2, 2, 2; 3, 4, 6, 3 |
//! | 50, 101, 152 | 1×1, 3×3, 1×1 with four times the channels | 3, 4, 6, 3; 3, 4, 23, 3; 3, 8, 36, 3 |
//!
//! A layer of the network is the stem (`stage0`), a whole block (`stage1.resblk1`), or the head (`final_linear`, with the last norm).
//! Without `bn`, the norms vanish.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::init::Distribution;
use crate::nn::kernels::Window;
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
use crate::nn::zoo::Model;

/// Channels that the 3×3 convolutions of each stage give.
const CHANNELS: [usize; 4] = [64, 128, 256, 512];

/// Depth of a residual network for small images, and whether it has batch norms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResNet {
    /// Number of layers with weights: 18, 34, 50, 101 or 152.
    pub depth: usize,
    /// Whether there are batch norms.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bn: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The parts of a sequence, named.
type Parts = Vec<(&'static str, Box<dyn Link>)>;

impl ResNet {
    /// Blocks of each stage.
    fn blocks(&self) -> Option<[usize; 4]> {
        match self.depth {
            18 => Some([2, 2, 2, 2]),
            34 | 50 => Some([3, 4, 6, 3]),
            101 => Some([3, 4, 23, 3]),
            152 => Some([3, 8, 36, 3]),
            _ => None,
        }
    }

    /// The widths, sizes and strides of a block's convolutions.
    fn convolutions(&self, channels: usize, stride: usize) -> Vec<[usize; 3]> {
        if self.depth < 50 {
            vec![[channels, 3, stride], [channels, 3, 1]]
        } else {
            vec![[channels, 1, 1], [channels, 3, stride], [4 * channels, 1, 1]]
        }
    }

    /// A block; the first of a stage changes the shape, and so has a convolution beside it.
    fn block(&self, input: Shape, channels: usize, stride: usize, is_first: bool) -> Residual {
        const NAMES: [(&str, &str); 3] = [("conv1", "norm2"), ("conv2", "norm3"), ("conv3", "")];
        let before: Box<dyn Link> = Box::new(Sequence(self.activation("norm1", input)));
        let convolutions = self.convolutions(channels, stride);
        let (mut parts, mut shape): (Parts, _) = (Vec::new(), input);
        for (index, ([channels, size, stride], (name, norm))) in convolutions.iter().zip(NAMES).enumerate() {
            let convolution = convolution(shape, *channels, *size, *stride);
            shape = convolution.output();
            parts.push((name, Box::new(convolution)));
            if index + 1 < convolutions.len() {
                parts.extend(self.activation(norm, shape));
            }
        }
        let skip = is_first.then(|| -> Box<dyn Link> {
            Box::new(Sequence(vec![("skip", Box::new(convolution(input, shape.channels, 1, stride)))]))
        });
        Residual { before, body: Box::new(Sequence(parts)), skip }
    }

    /// A norm and a ReLU, or the ReLU alone.
    fn activation(&self, name: &'static str, shape: Shape) -> Parts {
        if self.bn {
            vec![(name, Box::new(BatchNorm { shape, relu: true }))]
        } else {
            vec![("", Box::new(Rectify(shape)))]
        }
    }
}

impl Model for ResNet {
    fn name(&self) -> String {
        format!("resnet{}{}", self.depth, if self.bn { "-bn" } else { "" })
    }

    fn problem(&self) -> Option<Problem> {
        let (message, hint) = ("there is no such residual network", "give 18, 34, 50, 101 or 152");
        problem::first([(self.blocks().is_some(), Problem { path: "resnet.depth", message, hint })])
    }

    fn network(&self, [channels, height, width]: [usize; 3], classes: usize) -> Network {
        let stem = convolution(Shape { channels, map: [height, width] }, CHANNELS[0], 3, 1);
        let mut shape = stem.output();
        let mut layers = Vec::new();
        let mut push = |name: String, link: Box<dyn Link>| {
            layers.push(Layer { name: LayerName::new(name), link });
        };
        push("stage0".into(), Box::new(stem));
        let blocks = self.blocks().expect("the depth was checked");
        for (stage, (count, channels)) in blocks.into_iter().zip(CHANNELS).enumerate() {
            for block in 1..=count {
                let is_first = block == 1;
                let stride = if is_first && stage > 0 { 2 } else { 1 };
                let residual = self.block(shape, channels, stride, is_first);
                shape = residual.output();
                push(format!("stage{}.resblk{block}", stage + 1), Box::new(residual));
            }
        }
        let mut head = self.activation("norm", shape);
        head.push(("", Box::new(Pool::global_mean(shape))));
        head.push(("", Box::new(Dense::new(shape.channels, classes, false))));
        push("final_linear".into(), Box::new(Sequence(head)));
        Network::new(layers)
    }
}

/// A convolution that keeps the map's size but for its stride, without bias and ReLU.
fn convolution(input: Shape, channels: usize, size: usize, stride: usize) -> Convolution {
    let window = Window { kernel: [size; 2], stride: [stride; 2], padding: [size / 2; 2] };
    let weight = Distribution::fan_in(size * size * input.channels);
    Convolution { input, channels, window, relu: false, weight, bias: None }
}
