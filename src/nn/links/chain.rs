//! Links in training, one after the other, with what goes between them.

use crate::nn::kernels::Matrix;
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, InputGradient, Spare, Train};

/// A chain of links in training. It keeps what each link gives until the backward pass; of the gradients there, only two at a time.
pub struct Chain {
    stages: Vec<Stage>,
}

struct Stage {
    link: Box<dyn Train>,
    rectifies: bool,
    /// What the link gives; of the last one, the caller keeps it.
    output: Matrix,
}

impl Chain {
    /// Joins links; for each, whether it rectifies.
    pub fn new(links: impl Iterator<Item = (Box<dyn Train>, bool)>) -> Self {
        let stage = |(link, rectifies)| Stage { link, rectifies, output: Matrix::default() };
        Self { stages: links.map(stage).collect() }
    }
}

impl Train for Chain {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        let last = self.stages.len() - 1;
        for index in 0..=last {
            let (before, stage) = self.stages.split_at_mut(index);
            let Stage { link, output: own, .. } = &mut stage[0];
            let input = before.last().map_or(input, |before| &before.output);
            link.forward(input, examples, if index == last { output } else { own }, spare);
        }
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, mut input_gradient, spare } = pass;
        // The gradient at the output of the link at hand; of the last one, it is given.
        let mut gradient: Option<Matrix> = None;
        for index in (0..self.stages.len()).rev() {
            let (before, stage) = self.stages.split_at_mut(index);
            let before = before.last();
            let mut next = before.map(|_| spare.take());
            let wanted = match (&mut next, before) {
                (Some(out), Some(before)) => Some(InputGradient { out, rectified: before.rectifies }),
                _ => input_gradient.take(),
            };
            stage[0].link.backward(Backward {
                input: before.map_or(input, |before| &before.output),
                examples,
                output_gradient: gradient.as_ref().unwrap_or(output_gradient),
                input_gradient: wanted,
                spare,
            });
            if let Some(used) = std::mem::replace(&mut gradient, next) {
                spare.give(used);
            }
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        self.stages.iter().flat_map(|stage| stage.link.variables()).collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        self.stages.iter_mut().flat_map(|stage| stage.link.variables_mut()).collect()
    }
}
