//! A network: a linear chain of named layers.

use crate::base::name::LayerName;
use crate::base::rng;
use crate::nn::kernels::{Matrix, Path};
use crate::nn::links::{Evaluate, Link, Shape, Spare, TensorSpec};
use crate::nn::params::{Parameter, Params};

/// How many examples make the largest of these batches have so many numbers; 1 at least.
pub fn fitting(batches: &[Shape], numbers: usize) -> usize {
    let largest = batches.iter().map(Shape::count).max().unwrap_or(1);
    (numbers / largest).max(1)
}

/// A layer of the chain: the unit of reset.
#[derive(Debug)]
pub struct Layer {
    /// Its name, and the prefix of its tensors' names.
    pub name: LayerName,
    /// What it does.
    pub link: Box<dyn Link>,
}

/// A chain of layers, without values.
#[derive(Debug)]
pub struct Network {
    layers: Vec<Layer>,
    path: Path,
}

/// A layer with values, packed for the kernels.
pub struct Prepared(Box<dyn Evaluate>);

impl Network {
    /// Joins layers to a chain: each takes what the one before it gives.
    pub fn new(layers: Vec<Layer>) -> Self {
        assert!(!layers.is_empty(), "a network has a layer");
        for pair in layers.windows(2) {
            assert_eq!(pair[0].link.output(), pair[1].link.input(), "what '{}' takes", pair[1].name);
        }
        Self { layers, path: Path::detect() }
    }

    /// The same network on a given path of the kernels.
    #[must_use]
    pub fn on(self, path: Path) -> Self {
        Self { path, ..self }
    }

    /// The path of the kernels.
    pub fn path(&self) -> Path {
        self.path
    }

    /// The layers, in chain order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What goes into the first layer.
    pub fn input(&self) -> Shape {
        self.layers[0].link.input()
    }

    /// Numbers per example that go into the first layer.
    pub fn features(&self) -> usize {
        self.input().count()
    }

    /// How many of so many examples to evaluate and differentiate at once: as many as make the largest batch between two layers 16 MB.
    pub fn at_once(&self, examples: usize) -> usize {
        let inputs: Vec<_> = self.layers.iter().map(|layer| layer.link.input()).collect();
        fitting(&inputs, 1 << 22).min(examples.max(1))
    }

    /// Numbers per example that come out of the last layer: the logits.
    pub fn classes(&self) -> usize {
        self.layers[self.layers.len() - 1].link.output().count()
    }

    /// Names and descriptions of all tensors, in chain order.
    pub fn tensors(&self) -> impl Iterator<Item = (String, TensorSpec)> {
        self.layers.iter().flat_map(|layer| {
            layer.link.tensors().into_iter().map(|tensor| (format!("{}.{}", layer.name, tensor.name), tensor))
        })
    }

    /// The initialisation θ⁰: each tensor is a function of the seed, its name and its distribution.
    pub fn init(&self, seed: u64) -> Params {
        self.sample(seed, &["init"])
    }

    /// A fresh draw from the layers' initial distributions, for re-randomisation: independent of θ⁰ and of the other draws.
    pub fn draw(&self, seed: u64, draw: u32) -> Params {
        self.sample(seed, &["rerand", &draw.to_string()])
    }

    fn sample(&self, seed: u64, labels: &[&str]) -> Params {
        let sample = |(name, tensor): (String, TensorSpec)| {
            let mut stream = rng::stream(seed, &[labels, &[&name]].concat());
            let values = tensor.distribution.draw(&mut stream, tensor.shape.iter().product());
            Parameter { name, shape: tensor.shape, values }
        };
        Params(self.tensors().map(sample).collect())
    }

    /// Packs the tensors of one layer, for evaluation.
    pub fn prepare(&self, layer: usize, params: &Params) -> Prepared {
        let Layer { name, link } = &self.layers[layer];
        let values: Vec<_> = params.of_layer(name).collect();
        Prepared(link.evaluator(&values, self.path))
    }
}

impl Prepared {
    /// Evaluates the layer on a batch; `output` is reshaped.
    ///
    /// Single-threaded. An example's output depends on its input only, bit for bit, however many examples there are.
    pub fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        self.0.forward(input, examples, output, spare);
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::zoo::{Arch, Fcn};

    #[test]
    fn values_depend_on_seed_name_and_draw_only() {
        let wide = Arch::Fcn(Fcn { depth: 3, width: 8 }).network([1, 2, 3], 4);
        let deep = Arch::Fcn(Fcn { depth: 5, width: 8 }).network([1, 2, 3], 4);
        let init = wide.init(0);
        assert_eq!(init, wide.init(0));
        assert_eq!(init.get("layer2.weight"), deep.init(0).get("layer2.weight"));
        for other in [wide.init(1), wide.draw(0, 0), wide.draw(0, 1)] {
            assert_ne!(init.get("layer1.bias"), other.get("layer1.bias"));
        }
        assert_ne!(wide.draw(0, 0), wide.draw(0, 1));
    }

    #[test]
    fn initial_values_fill_the_interval_of_fan_in() {
        let network = Arch::Fcn(Fcn { depth: 1, width: 400 }).network([1, 10, 10], 10);
        let params = network.init(0);
        for (name, bound) in
            [("layer1.weight", 0.1), ("layer1.bias", 0.1), ("layer2.weight", 0.05), ("layer2.bias", 0.05)]
        {
            let values = &params.get(name).unwrap().values;
            let largest = values.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
            assert!(largest <= bound, "{name}: {largest}");
            assert!(values.len() < 100 || largest > 0.99 * bound, "{name}: {largest}");
        }
    }
}
