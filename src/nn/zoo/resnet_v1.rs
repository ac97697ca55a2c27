//! Residual networks with the ReLU behind the sum (He et al., "Deep residual learning", V1), as torchvision has them: those of which there
//! are weights to import. The study's own are in `resnet`.
//!
//! A layer of the network is the stem, a whole block (`layer1.0`), or the head (`fc`). Within them, tensors have their names in torchvision,
//! and so their initial values. For depths and blocks see `resnet`; a 3×3 convolution of a block of three takes the block's stride.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::import::{Names, Prefix};
use crate::nn::init::Distribution;
use crate::nn::kernels::Window;
use crate::nn::links::convolution::Convolution;
use crate::nn::links::dense::Dense;
use crate::nn::links::norm::BatchNorm;
use crate::nn::links::pool::Pool;
use crate::nn::links::sequence::Sequence;
use crate::nn::links::shortcut::Shortcut;
use crate::nn::links::{Link, Shape};
use crate::nn::network::{Layer, Network};
use crate::nn::problem::{self, Problem};
use crate::nn::zoo::resnet::{CHANNELS, Stem, blocks};
use crate::nn::zoo::{self, Model};

/// Depth of a residual network as torchvision has it, and how it begins; its layers are `stem`, `layer1.0` and so on, `fc`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResNetV1 {
    /// Number of layers with weights: 18, 34, 50, 101 or 152.
    pub depth: usize,
    /// How it begins: as for large images if not given.
    #[serde(default = "imagenet", skip_serializing_if = "is_imagenet")]
    pub stem: Stem,
    /// Channels of the first stage.
    #[serde(default = "zoo::width", skip_serializing_if = "zoo::is_width")]
    pub width: usize,
}

fn imagenet() -> Stem {
    Stem::Imagenet
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_imagenet(stem: &Stem) -> bool {
    *stem == Stem::Imagenet
}

/// The parts of a sequence, named.
type Parts = Vec<(&'static str, Box<dyn Link>)>;

impl ResNetV1 {
    fn stem(&self, input: Shape) -> Sequence {
        let [size, stride] = self.stem.convolution();
        let (mut parts, shape) = normed(["conv1", "bn1"], input, [self.width, size, stride], true);
        if self.stem == Stem::Imagenet {
            parts.push(("", Box::new(Pool::overlapping(shape))));
        }
        Sequence(parts)
    }

    /// A block; one that changes the shape has a convolution beside it.
    fn block(&self, input: Shape, channels: usize, stride: usize) -> Shortcut {
        let convolutions: &[_] = if self.depth < 50 {
            &[(["conv1", "bn1"], [channels, 3, stride]), (["conv2", "bn2"], [channels, 3, 1])]
        } else {
            &[
                (["conv1", "bn1"], [channels, 1, 1]),
                (["conv2", "bn2"], [channels, 3, stride]),
                (["conv3", "bn3"], [4 * channels, 1, 1]),
            ]
        };
        let (mut body, mut shape) = (Parts::new(), input);
        for (index, (names, sizes)) in convolutions.iter().enumerate() {
            let (parts, output) = normed(*names, shape, *sizes, index + 1 < convolutions.len());
            body.extend(parts);
            shape = output;
        }
        let skip = (shape != input).then(|| -> Box<dyn Link> {
            let names = ["downsample.0", "downsample.1"];
            Box::new(Sequence(normed(names, input, [shape.channels, 1, stride], false).0))
        });
        Shortcut { body: Box::new(Sequence(body)), skip, relu: true }
    }
}

/// A convolution to these channels, of this size and stride, and its norm; and what they give.
fn normed(
    [convolution, norm]: [&'static str; 2],
    input: Shape,
    [channels, size, stride]: [usize; 3],
    relu: bool,
) -> (Parts, Shape) {
    let window = Window { kernel: [size; 2], stride: [stride; 2], padding: [size / 2; 2] };
    let weight = Distribution::fan_out(size * size * channels);
    let link = Convolution { input, channels, window, relu: false, weight, bias: None };
    let shape = link.output();
    (vec![(convolution, Box::new(link)), (norm, Box::new(BatchNorm { shape, relu }))], shape)
}

impl Model for ResNetV1 {
    fn name(&self) -> String {
        let stem = if self.stem == Stem::Cifar { "-cifar" } else { "" };
        format!("resnet{}{}-v1{stem}", self.depth, zoo::suffix(self.width))
    }

    fn problem(&self) -> Option<Problem> {
        let depth = Problem {
            path: "resnet_v1.depth",
            message: "there is no such residual network",
            hint: "give 18, 34, 50, 101 or 152",
        };
        let width =
            Problem { path: "resnet_v1.width", message: "there are no channels", hint: "give 1 or more" };
        problem::first([(blocks(self.depth).is_some(), depth), (self.width >= 1, width)])
    }

    fn prefixes(&self, _: Names) -> Option<Vec<Prefix>> {
        Some(vec![Prefix::new("stem.", "")]) // timm calls them as torchvision does
    }

    fn network(&self, [channels, height, width]: [usize; 3], classes: usize) -> Network {
        let stem = self.stem(Shape { channels, map: [height, width] });
        let mut shape = stem.output();
        let mut layers = vec![Layer { name: LayerName::new("stem"), link: Box::new(stem) }];
        let stages = blocks(self.depth).expect("the depth was checked").into_iter().zip(CHANNELS);
        for (stage, (count, channels)) in (1..).zip(stages) {
            for index in 0..count {
                let stride = if index == 0 && stage > 1 { 2 } else { 1 };
                let block = self.block(shape, channels * self.width, stride);
                shape = block.output();
                let name = LayerName::new(format!("layer{stage}.{index}"));
                layers.push(Layer { name, link: Box::new(block) });
            }
        }
        let head: Parts = vec![
            ("", Box::new(Pool::global_mean(shape))),
            ("", Box::new(Dense::new(shape.channels, classes, false))),
        ];
        layers.push(Layer { name: LayerName::new("fc"), link: Box::new(Sequence(head)) });
        Network::new(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::Arch;

    /// As torchvision's documentation gives them.
    #[test]
    fn as_many_parameters_as_published() {
        for (depth, layers, parameters) in [
            (18, 10, 11_689_512),
            (34, 18, 21_797_672),
            (50, 18, 25_557_032),
            (101, 35, 44_549_160),
            (152, 52, 60_192_808),
        ] {
            let arch: Arch =
                serde_json::from_str(&format!(r#"{{"resnet_v1": {{"depth": {depth}}}}}"#)).unwrap();
            assert_eq!((arch.problem(), arch.name()), (None, format!("resnet{depth}-v1")));
            let network = arch.network([3, 224, 224], 1000);
            assert_eq!(network.layers().len(), layers);
            let trained = network.tensors().filter(|(name, _)| !name.contains("running"));
            let count = trained.map(|(_, tensor)| tensor.shape.iter().product::<usize>()).sum::<usize>();
            assert_eq!(count, parameters, "resnet{depth}");
        }
    }

    #[test]
    fn the_stem_is_as_it_is_asked_for() {
        let second = |stem| {
            let network = ResNetV1 { depth: 18, stem, width: 4 }.network([3, 30, 33], 10);
            network.layers()[1].link.input()
        };
        assert_eq!(second(Stem::Imagenet), Shape { channels: 4, map: [8, 9] });
        assert_eq!(second(Stem::Cifar), Shape { channels: 4, map: [30, 33] });
    }
}
