//! A network in training: forward, backward and update of one batch.

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use crate::nn::kernels::{Matrix, View};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, InputGradient, Train};
use crate::nn::loss::{self, Score};
use crate::nn::network::Network;
use crate::nn::optimizer::Update;
use crate::nn::params::{Parameter, Params};

/// A network with values, gradients, momenta, and buffers that are allocated once.
///
/// Works on the threads of the current rayon pool; the bits do not depend on how many there are.
pub struct Learner {
    layers: Vec<Layer>,
    /// The names and shapes of its tensors.
    blank: Params,
    features: usize,
    /// One row of logits.
    row: Vec<f32>,
}

struct Layer {
    link: Box<dyn Train>,
    rectifies: bool,
    /// Rows × outputs.
    output: Matrix,
    /// The gradient there.
    gradient: Matrix,
}

impl Learner {
    /// Packs values of a network's tensors.
    pub fn new(network: &Network, params: &Params) -> Self {
        let layers = network.layers().iter().map(|layer| {
            let values: Vec<_> = params.of_layer(&layer.name).collect();
            let matrix = || Matrix::zeros(0, layer.link.outputs());
            Layer {
                link: layer.link.trainer(&values, network.path()),
                rectifies: layer.link.rectifies(),
                output: matrix(),
                gradient: matrix(),
            }
        });
        let blank = |p: &Parameter| Parameter { values: Vec::new(), ..p.clone() };
        Self {
            layers: layers.collect(),
            blank: Params(params.iter().map(blank).collect()),
            features: network.features(),
            row: vec![0.0; network.classes()],
        }
    }

    /// One step of training on a batch: `input` is labels × features. Returns the batch's score before the step.
    pub fn step(&mut self, input: &[f32], labels: &[u8], update: &Update) -> Score {
        let score = self.differentiate(input, labels);
        self.layers.par_iter_mut().for_each(|layer| {
            layer.link.variables_mut().par_iter_mut().for_each(|variable| variable.update(update));
        });
        score
    }

    /// Computes the gradients of a batch's mean loss.
    pub fn differentiate(&mut self, input: &[f32], labels: &[u8]) -> Score {
        let input = View::rows(input, self.features);
        self.forward(input, labels.len());
        let last = self.layers.last_mut().expect("a network has a layer");
        let score = loss::cross_entropy_gradient(&last.output, labels, &mut last.gradient, &mut self.row);
        self.backward(input);
        score
    }

    fn forward(&mut self, input: View, rows: usize) {
        for index in 0..self.layers.len() {
            let (before, layer) = self.layers.split_at_mut(index);
            let layer = &mut layer[0];
            layer.output.set_rows(rows);
            layer.gradient.set_rows(rows);
            let input = before.last().map_or(input, |before| before.output.view());
            layer.link.forward(input, &mut layer.output);
        }
    }

    fn backward(&mut self, input: View) {
        for index in (0..self.layers.len()).rev() {
            let (before, layer) = self.layers.split_at_mut(index);
            let layer = &mut layer[0];
            let (input, input_gradient) = match before.last_mut() {
                None => (input, None),
                Some(Layer { output, gradient, rectifies, .. }) => {
                    let rectified = rectifies.then_some(&*output);
                    (output.view(), Some(InputGradient { out: gradient, rectified }))
                }
            };
            layer.link.backward(Backward { input, output_gradient: &layer.gradient, input_gradient });
        }
    }

    /// The logits of the last batch, row-major.
    pub fn logits(&self) -> Vec<f32> {
        self.layers[self.layers.len() - 1].output.to_rows()
    }

    /// The current values.
    pub fn params(&self) -> Params {
        self.export(|variable| &variable.value)
    }

    /// The gradients of the last batch.
    pub fn gradients(&self) -> Params {
        self.export(|variable| &variable.gradient)
    }

    /// The optimizer's momentum buffers.
    pub fn momenta(&self) -> Params {
        self.export(|variable| &variable.momentum)
    }

    /// Overwrites the optimizer's momentum buffers, to continue an interrupted training.
    pub fn set_momenta(&mut self, momenta: &Params) {
        let variables = self.layers.iter_mut().flat_map(|layer| layer.link.variables_mut());
        for (variable, momentum) in variables.zip(momenta) {
            variable.momentum = variable.layout().pack(momentum);
        }
    }

    fn export(&self, matrix: impl Fn(&Variable) -> &Matrix) -> Params {
        let variables = self.layers.iter().flat_map(|layer| layer.link.variables());
        let export = |(blank, variable): (&Parameter, &Variable)| Parameter {
            values: variable.layout().unpack(matrix(variable)),
            ..blank.clone()
        };
        Params(self.blank.iter().zip(variables).map(export).collect())
    }
}
