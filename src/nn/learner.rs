//! A network in training: forward, backward and update of one batch.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::nn::kernels::Matrix;
use crate::nn::links::chain::Chain;
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Shape, Train};
use crate::nn::loss::{self, Score};
use crate::nn::network::Network;
use crate::nn::optimizer::Update;
use crate::nn::params::{Parameter, Params};

/// A network with values, gradients, momenta, and buffers that are allocated once.
///
/// Works on the threads of the current rayon pool; the bits do not depend on how many there are.
pub struct Learner {
    chain: Chain,
    /// The names and shapes of its tensors.
    blank: Params,
    shape: Shape,
    /// The latest batch.
    input: Matrix,
    /// Its logits: examples × classes.
    logits: Matrix,
    /// The gradient there.
    gradient: Matrix,
    /// One row of logits.
    row: Vec<f32>,
}

impl Learner {
    /// Packs values of a network's tensors.
    pub fn new(network: &Network, params: &Params) -> Self {
        let layers = network.layers().iter().map(|layer| {
            let values: Vec<_> = params.of_layer(&layer.name).collect();
            (layer.link.trainer(&values, network.path()), layer.link.rectifies())
        });
        let blank = |p: &Parameter| Parameter { values: Vec::new(), ..p.clone() };
        Self {
            chain: Chain::new(layers),
            blank: Params(params.iter().map(blank).collect()),
            shape: network.input(),
            input: network.input().batch(),
            logits: Matrix::default(),
            gradient: Matrix::default(),
            row: vec![0.0; network.classes()],
        }
    }

    /// One step of training on a batch: `input` is labels × features. Returns the batch's score before the step.
    pub fn step(&mut self, input: &[f32], labels: &[u8], update: &Update) -> Score {
        let score = self.differentiate(input, labels);
        self.chain.variables_mut().into_par_iter().for_each(|variable| variable.update(update));
        score
    }

    /// Computes the gradients of a batch's mean loss.
    pub fn differentiate(&mut self, input: &[f32], labels: &[u8]) -> Score {
        let Self { chain, shape, input: batch, logits, gradient, row, .. } = self;
        let examples = labels.len();
        shape.load(input, batch);
        chain.forward(batch, examples, logits);
        gradient.set_shape(logits.rows(), logits.columns());
        let score = loss::cross_entropy_gradient(logits, labels, gradient, row);
        let pass = Backward { input: batch, examples, output_gradient: gradient, input_gradient: None };
        chain.backward(pass);
        score
    }

    /// The logits of the last batch, row-major.
    pub fn logits(&self) -> Vec<f32> {
        self.logits.to_rows()
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
        let variables = self.chain.variables_mut().into_iter();
        for (variable, momentum) in variables.zip(momenta) {
            variable.momentum = variable.layout().pack(momentum);
        }
    }

    fn export(&self, matrix: impl Fn(&Variable) -> &Matrix) -> Params {
        let variables = self.chain.variables().into_iter();
        let export = |(blank, variable): (&Parameter, &Variable)| Parameter {
            values: variable.layout().unpack(matrix(variable), &blank.shape),
            ..blank.clone()
        };
        Params(self.blank.iter().zip(variables).map(export).collect())
    }
}
