//! Residual networks in which every block has an identity skip: the "42" and "44" of the study's Table 2.
//!
//! The blocks are those of ResNet-18, with pre-activation. Between two stages, a layer of its own halves the map and doubles the channels,
//! so that any block can be swapped for another of its stage or have its weights replaced. The study's names are read as the number of
//! blocks per stage, then that of stages.
//!
//! A layer of the network is the stem (`stage0`), a block (`stage1.resblk1`), a down-sampling convolution (`down1`, behind stage 1), or
//! the head (`final_linear`, with the last norm). Without `bn`, the norms vanish.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::links::dense::Dense;
use crate::nn::links::pool::Pool;
use crate::nn::links::residual::Residual;
use crate::nn::links::sequence::Sequence;
use crate::nn::links::{Link, Shape};
use crate::nn::network::{Layer, Network};
use crate::nn::problem::{self, Problem};
use crate::nn::zoo::resnet::{Parts, activation, convolution};
use crate::nn::zoo::{self, Model};

/// Size of a residual network of identity-skip blocks, and whether it has batch norms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityResNet {
    /// Number of stages.
    pub stages: usize,
    /// Blocks of each stage.
    pub blocks: usize,
    /// Whether there are batch norms.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bn: bool,
    /// Channels of the first stage.
    #[serde(default = "zoo::width", skip_serializing_if = "zoo::is_width")]
    pub width: usize,
}

impl IdentityResNet {
    /// Two 3×3 convolutions that keep the shape.
    fn block(&self, shape: Shape) -> Residual {
        let before: Box<dyn Link> = Box::new(Sequence(activation(self.bn, "norm1", shape)));
        let conv = || Box::new(convolution(shape, shape.channels, 3, 1));
        let mut body: Parts = vec![("conv1", conv())];
        body.extend(activation(self.bn, "norm2", shape));
        body.push(("conv2", conv()));
        Residual { before, body: Box::new(Sequence(body)), skip: None }
    }
}

impl Model for IdentityResNet {
    fn name(&self) -> String {
        let bn = if self.bn { "-bn" } else { "" };
        format!("resnet-{}{}{}{bn}", self.blocks, self.stages, zoo::suffix(self.width))
    }

    fn problem(&self) -> Option<Problem> {
        let digit = 1..=9;
        let outside = |path| Problem { path, message: "it is not a digit", hint: "give 1 to 9" };
        let width = Problem {
            path: "identity_resnet.width",
            message: "there are no channels",
            hint: "give 1 or more",
        };
        problem::first([
            (digit.contains(&self.stages), outside("identity_resnet.stages")),
            (digit.contains(&self.blocks), outside("identity_resnet.blocks")),
            (self.width >= 1, width),
        ])
    }

    fn network(&self, [channels, height, width]: [usize; 3], classes: usize) -> Network {
        let stem = convolution(Shape { channels, map: [height, width] }, self.width, 3, 1);
        let mut shape = stem.output();
        let mut layers = Vec::new();
        let mut push = |name: String, link: Box<dyn Link>| {
            layers.push(Layer { name: LayerName::new(name), link });
        };
        push("stage0".to_owned(), Box::new(stem));
        for stage in 1..=self.stages {
            for block in 1..=self.blocks {
                push(format!("stage{stage}.resblk{block}"), Box::new(self.block(shape)));
            }
            if stage < self.stages {
                let down = convolution(shape, 2 * shape.channels, 3, 2);
                shape = down.output();
                push(format!("down{stage}"), Box::new(down));
            }
        }
        let mut head = activation(self.bn, "norm", shape);
        head.push(("", Box::new(Pool::global_mean(shape))));
        head.push(("", Box::new(Dense::new(shape.channels, classes, false))));
        push("final_linear".to_owned(), Box::new(Sequence(head)));
        Network::new(layers)
    }
}
