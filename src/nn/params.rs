//! Named tensors of a network, in chain order: what a checkpoint holds and a reset overwrites.

use crate::base::name::LayerName;

/// One tensor, in PyTorch's layout: a dense weight is `[out, in]`, a bias `[out]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    /// Layer's name, a dot, and what it is: `layer1.weight`.
    pub name: String,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// All tensors of a network, in chain order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Params(pub Vec<Parameter>);

impl Params {
    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.iter().find(|parameter| parameter.name == name)
    }

    /// All tensors, in chain order.
    pub fn iter(&self) -> std::slice::Iter<'_, Parameter> {
        self.0.iter()
    }

    /// The tensors of one layer.
    pub fn of_layer<'a>(&'a self, layer: &'a LayerName) -> impl Iterator<Item = &'a Parameter> {
        self.iter().filter(move |parameter| parameter.is_of(layer))
    }

    /// How many numbers there are in all.
    pub fn count(&self) -> usize {
        self.iter().map(|parameter| parameter.values.len()).sum()
    }
}

impl Parameter {
    /// Whether it is a tensor of this layer.
    pub fn is_of(&self, layer: &LayerName) -> bool {
        self.name.strip_prefix(layer.as_str()).is_some_and(|rest| rest.starts_with('.'))
    }
}

impl<'a> IntoIterator for &'a Params {
    type Item = &'a Parameter;
    type IntoIter = std::slice::Iter<'a, Parameter>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_of_one_layer() {
        let names = ["layer1.weight", "layer1.bias", "layer10.weight"];
        let tensor = |name: &str| Parameter { name: name.into(), shape: vec![1], values: vec![0.0] };
        let params = Params(names.map(tensor).to_vec());
        for (layer, count) in [("layer1", 2), ("layer10", 1), ("layer", 0)] {
            assert_eq!(params.of_layer(&LayerName::new(layer)).count(), count, "{layer}");
        }
    }
}
