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
        self.iter().filter(move |parameter| belongs(parameter, layer))
    }

    /// Overwrites the tensors of one layer with those of `from`, and leaves all others as they are.
    ///
    /// Both must be of the same network.
    pub fn replace_layer(&mut self, layer: &LayerName, from: &Self) {
        for parameter in self.0.iter_mut().filter(|parameter| belongs(parameter, layer)) {
            let source = from.get(&parameter.name).expect("both are of the same network");
            parameter.values.copy_from_slice(&source.values);
        }
    }

    /// How many numbers there are in all.
    pub fn count(&self) -> usize {
        self.iter().map(|parameter| parameter.values.len()).sum()
    }
}

fn belongs(parameter: &Parameter, layer: &LayerName) -> bool {
    parameter.name.strip_prefix(layer.as_str()).is_some_and(|rest| rest.starts_with('.'))
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

    fn params(value: f32) -> Params {
        let names = ["layer1.weight", "layer1.bias", "layer10.weight"];
        Params(
            names.map(|name| Parameter { name: name.into(), shape: vec![1], values: vec![value] }).to_vec(),
        )
    }

    #[test]
    fn replaces_one_layer_only() {
        let mut host = params(0.0);
        host.replace_layer(&LayerName::new("layer1"), &params(1.0));
        assert_eq!(host.iter().map(|p| p.values[0]).collect::<Vec<_>>(), [1.0, 1.0, 0.0]);
        assert_eq!(host.of_layer(&LayerName::new("layer10")).count(), 1);
    }
}
