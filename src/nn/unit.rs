//! The pieces of a network that can be reset apart: its layers, or what these consist of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::network::{Layer, Network};

/// How large the pieces of a network are that can be reset apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The study's: a whole block is one.
    #[default]
    Layer,
    /// What a layer consists of: its convolutions and norms; its attention and its MLP.
    Part,
    /// Whatever has tensors of its own: each convolution, norm and dense map.
    Module,
}

/// Names of a network's layers, or of smaller units, in chain order.
pub fn names(network: &Network, unit: Unit) -> Vec<LayerName> {
    let mut names = Vec::new();
    for Layer { name, link } in network.layers() {
        let inner = link.tensors().into_iter().map(|tensor| {
            let (module, _) = tensor.name.rsplit_once('.').unwrap_or_default();
            let inner =
                if unit == Unit::Part { module.split('.').next().unwrap_or_default() } else { module };
            if unit == Unit::Layer || inner.is_empty() {
                name.clone()
            } else {
                LayerName::new(format!("{name}.{inner}"))
            }
        });
        names.extend(inner);
    }
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::{Arch, Fcn};

    #[test]
    fn units_within_layers() {
        let units = |arch: Arch, unit| {
            let network = arch.network([3, 8, 8], 3);
            names(&network, unit).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let resnet = || serde_json::from_str(r#"{"resnet": {"depth": 18, "bn": true, "width": 4}}"#).unwrap();
        assert_eq!(units(resnet(), Unit::Layer).len(), 10);
        let modules = units(resnet(), Unit::Module);
        assert_eq!(modules, units(resnet(), Unit::Part));
        let block = ["norm1", "conv1", "norm2", "conv2", "skip"].map(|part| format!("stage2.resblk1.{part}"));
        let start = modules.iter().position(|name| *name == block[0]).unwrap();
        assert_eq!(modules[start..start + 5], block);
        assert_eq!((modules[0].as_str(), modules.last().unwrap().as_str()), ("stage0", "final_linear"));
        let vit = || serde_json::from_str(r#"{"vit": {"depth": 1, "width": 12, "heads": 3}}"#).unwrap();
        let parts = ["norm1", "attn", "norm2", "mlp"].map(|part| format!("blocks.0.{part}"));
        assert_eq!(
            units(vit(), Unit::Part).into_iter().filter(|n| n.starts_with("blocks")).collect::<Vec<_>>(),
            parts
        );
        assert!(units(vit(), Unit::Module).contains(&"blocks.0.mlp.fc2".to_owned()));
        let fcn = Arch::Fcn(Fcn { depth: 1, width: 3 });
        assert_eq!(units(fcn, Unit::Module), ["layer1", "layer2"]);
    }
}
