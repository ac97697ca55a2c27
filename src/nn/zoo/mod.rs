//! The models: one file each, and a line below.

mod fcn;
mod identity;
mod mixer;
mod resnet;
mod resnet_v1;
mod vgg;
mod vit;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::nn::import::{Names, Prefix};
use crate::nn::network::Network;
use crate::nn::problem::Problem;

/// The one registration: a new model is a file, its `mod`, and a line here.
macro_rules! models {
    ($(#[doc = $about:literal] $variant:ident($module:ident::$model:ident),)*) => {
        $(pub use $module::$model;)*

        /// An architecture, as written in a pipeline file: `{ fcn: { depth: 3, width: 256 } }`.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub enum Arch {
            $(#[doc = $about] $variant($model),)*
        }

        impl Arch {
            fn model(&self) -> &dyn Model {
                match self {
                    $(Self::$variant(model) => model,)*
                }
            }
        }
    };
}

models! {
    /// Fully connected.
    Fcn(fcn::Fcn),
    /// Convolutions, for small images.
    Vgg(vgg::Vgg),
    /// Residual blocks, for small images.
    Resnet(resnet::ResNet),
    /// Residual blocks as torchvision has them, for weights to import.
    ResnetV1(resnet_v1::ResNetV1),
    /// Residual blocks whose skip is an identity, with down-sampling between.
    IdentityResnet(identity::IdentityResNet),
    /// Attention among patches of images.
    Vit(vit::Vit),
    /// Hidden layers across patches and across channels.
    Mixer(mixer::Mixer),
}

/// Channels of the first stage, as the study has them.
const WIDTH: usize = 64;

fn width() -> usize {
    WIDTH
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_width(width: &usize) -> bool {
    *width == WIDTH
}

/// What a name says of a width: nothing of the usual one.
fn suffix(width: usize) -> String {
    if width == WIDTH { String::new() } else { format!("x{width}") }
}

/// A kind of network.
trait Model {
    /// A short name: `fcn3x256`.
    fn name(&self) -> String;
    /// What is wrong with its settings, if anything.
    fn problem(&self) -> Option<Problem>;
    /// What is wrong with it for examples of this shape (channels, height, width), if anything.
    fn misfit(&self, _shape: [usize; 3]) -> Option<Problem> {
        None
    }
    /// How the names of its tensors begin, here and in a library that has the same network; those of others are the same.
    fn prefixes(&self, _names: Names) -> Option<Vec<Prefix>> {
        None
    }
    /// Builds it for examples of this shape, which it fits, and this many classes.
    fn network(&self, shape: [usize; 3], classes: usize) -> Network;
}

impl Arch {
    /// A short name: `fcn3x256`.
    pub fn name(&self) -> String {
        self.model().name()
    }

    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<Problem> {
        self.model().problem()
    }

    /// What is wrong with it for examples of this shape (channels, height, width), if anything.
    pub fn misfit(&self, shape: [usize; 3]) -> Option<Problem> {
        self.model().misfit(shape)
    }

    /// How the names of its tensors begin, here and under these names, where they differ; `None` if no network like it has such.
    pub fn prefixes(&self, names: Names) -> Option<Vec<Prefix>> {
        match names {
            Names::Own => Some(Vec::new()),
            Names::Torchvision | Names::Timm => self.model().prefixes(names),
        }
    }

    /// Builds the network for examples of this shape, which it fits, and this many classes.
    pub fn network(&self, shape: [usize; 3], classes: usize) -> Network {
        self.model().network(shape, classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_pipeline_file_says() {
        let arch: Arch = serde_json::from_str(r#"{"fcn": {"depth": 3, "width": 256}}"#).unwrap();
        assert_eq!(arch.name(), "fcn3x256");
        assert!(
            serde_json::from_str::<Arch>(r#"{"fcn": {"depth": 3, "width": 256, "dropout": 0}}"#).is_err()
        );
        assert!(serde_json::from_str::<Arch>(r#"{"mlp": {}}"#).is_err());
    }

    /// How many layers, and how many parameters.
    fn count_for(text: &str, shape: [usize; 3], classes: usize) -> (usize, usize) {
        let arch: Arch = serde_json::from_str(text).unwrap();
        assert_eq!(arch.problem(), None);
        let network = arch.network(shape, classes);
        let trained = network.tensors().filter(|(name, _)| !name.contains("running"));
        let parameters = trained.map(|(_, tensor)| tensor.shape.iter().product::<usize>());
        (network.layers().len(), parameters.sum())
    }

    /// Counted by PyTorch for the same tables (`benches/peers/models.py`).
    #[test]
    fn networks_have_as_many_parameters_as_published() {
        let count = |text: &str| count_for(text, [3, 32, 32], 10);
        let mixer = |depth, width, tokens, channels| {
            let text = format!(
                r#"{{"mixer": {{"depth": {depth}, "width": {width}, "tokens": {tokens}, "channels": {channels}, "patch": 16}}}}"#
            );
            count_for(&text, [3, 224, 224], 1000)
        };
        // timm's mixer_s16_224 and mixer_b16_224.
        assert_eq!(mixer(8, 512, 256, 2048), (10, 18_528_264));
        assert_eq!(mixer(12, 768, 384, 3072), (14, 59_880_472));
        for (depth, parameters) in [(11, 28_144_010), (13, 28_328_522), (16, 33_638_218), (19, 38_947_914)] {
            assert_eq!(count(&format!(r#"{{"vgg": {{"depth": {depth}}}}}"#)), (depth, parameters));
        }
        let vit = r#"{"vit": {"depth": 6, "width": 192, "heads": 3}}"#;
        assert_eq!(count(vit), (8, 2_693_578));
        let identity =
            |stages| count(&format!(r#"{{"identity_resnet": {{"stages": {stages}, "blocks": 4}}}}"#));
        assert_eq!((identity(2), identity(4)), ((11, 1_551_306), (21, 26_622_666)));
        for (depth, layers, plain, normed) in [
            (18, 10, 11_164_362, 11_172_170),
            (34, 18, 21_265_098, 21_280_330),
            (50, 18, 23_467_722, 23_513_162),
            (101, 35, 42_407_626, 42_505_290),
            (152, 52, 58_005_194, 58_148_938),
        ] {
            for (bn, parameters) in [(false, plain), (true, normed)] {
                let text = format!(r#"{{"resnet": {{"depth": {depth}, "bn": {bn}}}}}"#);
                assert_eq!(count(&text), (layers, parameters), "{text}");
            }
        }
    }
}
