//! A network in training: forward, backward and update of one batch.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::name::LayerName;
use crate::nn::kernels::Matrix;
use crate::nn::links::chain::Chain;
use crate::nn::links::norm;
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Shape, Spare, Train};
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
    /// The links' memory for what they need only meanwhile.
    spare: Spare,
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
            spare: Spare::default(),
        }
    }

    /// Keeps the values of these layers. What a norm counts itself, its running mean and variance, goes on with the batches.
    pub fn freeze(&mut self, layers: &[LayerName]) {
        let variables = self.blank.iter().zip(self.chain.variables_mut());
        for (_, variable) in variables.filter(|(tensor, _)| layers.iter().any(|layer| tensor.is_of(layer))) {
            variable.freeze();
        }
    }

    /// One step of training on a batch: `input` is labels × features. Returns the batch's score before the step.
    pub fn step(&mut self, input: &[f32], labels: &[u16], update: &Update) -> Score {
        let score = self.differentiate(input, labels);
        self.chain.variables_mut().into_par_iter().for_each(|variable| variable.update(update));
        score
    }

    /// Sets the running means and variances of norms to those of these batches, each counting alike; nothing else changes.
    pub fn recalibrate<'b>(&mut self, batches: impl Iterator<Item = &'b [f32]>) {
        for (number, rows) in (1_u32..).zip(batches) {
            let is_running = |tensor: &Parameter| tensor.name.contains(".running_");
            let running: Vec<bool> = self.blank.iter().map(is_running).collect();
            let values = self.chain.variables().into_iter().zip(&running);
            let before: Vec<_> = values.filter(|(_, is)| **is).map(|(v, _)| v.value.clone()).collect();
            self.shape.load(rows, &mut self.input);
            let examples = rows.len() / self.shape.count();
            self.chain.forward(&self.input, examples, &mut self.logits, &mut self.spare);
            // A norm gave the newest batch its usual weight: here it has 1/number.
            let weight = 1.0 / (norm::NEWEST * number as f32);
            let after = self.chain.variables_mut().into_iter().zip(&running).filter(|(_, is)| **is);
            for ((variable, _), before) in after.zip(before) {
                let values = variable.value.values_mut().iter_mut().zip(before.values());
                values.for_each(|(value, before)| *value = before + (*value - before) * weight);
            }
        }
    }

    /// Computes the gradients of a batch's mean loss.
    pub fn differentiate(&mut self, input: &[f32], labels: &[u16]) -> Score {
        let Self { chain, shape, input: batch, logits, gradient, row, spare, .. } = self;
        let examples = labels.len();
        shape.load(input, batch);
        chain.forward(batch, examples, logits, spare);
        gradient.set_shape(logits.rows(), logits.columns());
        let score = loss::cross_entropy_gradient(logits, labels, 1.0 / examples as f32, gradient, row);
        let pass =
            Backward { input: batch, examples, output_gradient: gradient, input_gradient: None, spare };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;
    use crate::nn::zoo::Arch;

    /// Behind a stem without a norm, the mean over the batches of what the first norm is given is known.
    #[test]
    fn recalibrated_statistics_are_means_over_the_batches() {
        let arch: Arch =
            serde_json::from_str(r#"{"resnet": {"depth": 18, "width": 3, "bn": true}}"#).unwrap();
        let network = arch.network([3, 4, 4], 3);
        let mut stream = rng::stream(0, &["recalibrate"]);
        let input: Vec<f32> = (0..3 * 5 * 48).map(|_| stream.normal() as f32).collect();
        let params = network.init(0);
        let mut learner = Learner::new(&network, &params);
        learner.recalibrate(input.chunks(5 * 48));
        let after = learner.params();
        let mut maps = Matrix::default();
        let (mut batch, mut spare) = (Matrix::default(), Spare::default());
        network.input().load(&input, &mut batch);
        network.prepare(0, &params).forward(&batch, 15, &mut maps, &mut spare);
        let rows = maps.to_rows();
        let running = &after.get("stage1.resblk1.norm1.running_mean").unwrap().values;
        for (channel, running) in running.iter().enumerate() {
            let mean = rows[channel..].iter().step_by(3).sum::<f32>() / (rows.len() / 3) as f32;
            assert!((running - mean).abs() < 1e-5, "{running} and {mean}");
        }
        let changed = params.iter().zip(&after).filter(|(before, after)| before != after);
        let names: Vec<_> = changed.map(|(tensor, _)| tensor.name.as_str()).collect();
        assert_eq!(names.len(), after.iter().filter(|tensor| tensor.name.contains("running")).count());
        assert!(names.iter().all(|name| name.contains(".running_")));
    }

    /// Memory that was used for something else is as good as new, at widths that leave padding.
    #[test]
    fn what_a_buffer_held_does_not_matter() {
        for text in [
            r#"{"fcn": {"depth": 2, "width": 9}}"#,
            r#"{"vgg": {"depth": 11, "width": 3, "head": 5, "bn": true}}"#,
            r#"{"resnet": {"depth": 18, "width": 3, "bn": true}}"#,
            r#"{"resnet": {"depth": 50, "width": 5}}"#,
            r#"{"resnet_v1": {"depth": 18, "width": 3}}"#,
            r#"{"resnet_v1": {"depth": 50, "stem": "cifar", "width": 5}}"#,
            r#"{"vit": {"depth": 2, "width": 12, "heads": 3, "patch": 16}}"#,
        ] {
            let network = serde_json::from_str::<Arch>(text).unwrap().network([3, 32, 32], 3);
            let mut stream = rng::stream(0, &["buffers"]);
            let input: Vec<f32> = (0..2 * network.features()).map(|_| stream.normal() as f32).collect();
            let gradients = |held: Option<f32>| {
                let mut learner = Learner::new(&network, &network.init(0));
                for value in held.into_iter().cycle().take(20) {
                    let mut matrix = Matrix::zeros(2 * 33 * 33, 64);
                    matrix.values_mut().fill(value);
                    learner.spare.give(matrix);
                }
                learner.differentiate(&input, &[0, 2]);
                learner.chain.variables().iter().map(|v| v.gradient.values().to_vec()).collect::<Vec<_>>()
            };
            let clean = gradients(None);
            assert!(clean.iter().flatten().all(|value| value.is_finite()), "{text}");
            assert!(clean == gradients(Some(f32::NAN)), "{text}");
        }
    }
}
