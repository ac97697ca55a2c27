//! A network in training: the chain walked forward, and back.

use crate::nn::kernels::{Matrix, View};
use crate::nn::links::{Below, Learn};
use crate::nn::loss::{self, Sums};
use crate::nn::network::Network;
use crate::nn::optimizer::Update;
use crate::nn::params::{Parameter, Params};

/// A network with values, and all that a training step works in: nothing is allocated from step to step.
pub struct Chain<'a> {
    network: &'a Network,
    links: Vec<Box<dyn Learn>>,
    /// Per link, the gradient of what precedes its final ReLU: batch×outputs.
    gradients: Vec<Matrix>,
}

impl<'a> Chain<'a> {
    /// Packs the values.
    pub fn new(network: &'a Network, params: &Params) -> Self {
        let gradients = network.layers().iter().map(|layer| Matrix::zeros(0, layer.link.outputs()));
        Self { network, links: network.learners(params), gradients: gradients.collect() }
    }

    /// One step of training on a batch: `inputs`, a row of [`Network::features`] numbers per label.
    ///
    /// Returns the sums over the batch, of the values before the step.
    pub fn step(&mut self, inputs: &[f32], labels: &[u8], update: &Update) -> Sums {
        let sums = self.differentiate(inputs, labels);
        self.links.iter_mut().for_each(|link| link.update(update));
        sums
    }

    /// Computes loss and gradients of a batch.
    pub fn differentiate(&mut self, inputs: &[f32], labels: &[u8]) -> Sums {
        let inputs = View::rows(inputs, self.network.features());
        for index in 0..self.links.len() {
            let (before, rest) = self.links.split_at_mut(index);
            rest[0].forward(before.last().map_or(inputs, |link| link.output().view()));
        }
        let last = self.links.len() - 1;
        let sums = loss::cross_entropy(self.links[last].output(), labels, &mut self.gradients[last]);
        for index in (0..=last).rev() {
            let (links_before, links) = self.links.split_at_mut(index);
            let (gradients_before, gradients) = self.gradients.split_at_mut(index);
            let (input, below) = match (links_before.last(), gradients_before.last_mut()) {
                (Some(link), Some(gradient)) => {
                    (link.output().view(), Some(Below { gradient, gate: link.gate() }))
                }
                _ => (inputs, None),
            };
            links[0].backward(input, &gradients[0], below);
        }
        sums
    }

    /// Copies of the values, and of their momentum.
    pub fn params(&self) -> [Params; 2] {
        let mut tensors = [Vec::new(), Vec::new()];
        for link in &self.links {
            for (all, own) in tensors.iter_mut().zip(link.tensors()) {
                all.extend(own);
            }
        }
        tensors.map(|values| self.name(values))
    }

    /// Copies of the gradients of the latest batch.
    pub fn gradients(&self) -> Params {
        self.name(self.links.iter().flat_map(|link| link.gradients()).collect())
    }

    /// Puts momentum back, as [`Chain::params`] gave it.
    pub fn set_momentum(&mut self, momentum: &Params) {
        for (link, layer) in self.links.iter_mut().zip(self.network.layers()) {
            link.set_momentum(&momentum.of_layer(&layer.name).collect::<Vec<_>>());
        }
    }

    fn name(&self, values: Vec<Vec<f32>>) -> Params {
        let named = self.network.tensors().zip(values);
        Params(
            named.map(|((name, tensor), values)| Parameter { name, shape: tensor.shape, values }).collect(),
        )
    }
}
