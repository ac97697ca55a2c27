//! Links in training, one after the other, with what goes between them.

use crate::nn::kernels::Matrix;
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, InputGradient, Train};

/// A chain of links in training. Its buffers are allocated once.
pub struct Chain {
    stages: Vec<Stage>,
}

struct Stage {
    link: Box<dyn Train>,
    rectifies: bool,
    /// What the link gives, and the gradient there; of the last one, the caller keeps both.
    output: Matrix,
    gradient: Matrix,
}

impl Chain {
    /// Joins links; for each, whether it rectifies.
    pub fn new(links: impl Iterator<Item = (Box<dyn Train>, bool)>) -> Self {
        let stage = |(link, rectifies)| Stage {
            link,
            rectifies,
            output: Matrix::default(),
            gradient: Matrix::default(),
        };
        Self { stages: links.map(stage).collect() }
    }
}

impl Train for Chain {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix) {
        let last = self.stages.len() - 1;
        for index in 0..=last {
            let (before, stage) = self.stages.split_at_mut(index);
            let Stage { link, output: own, .. } = &mut stage[0];
            let input = before.last().map_or(input, |before| &before.output);
            link.forward(input, examples, if index == last { output } else { own });
        }
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, mut input_gradient } = pass;
        let last = self.stages.len() - 1;
        for index in (0..=last).rev() {
            let (before, stage) = self.stages.split_at_mut(index);
            let Stage { link, gradient, .. } = &mut stage[0];
            let output_gradient = if index == last { output_gradient } else { gradient };
            let (input, input_gradient) = match before.last_mut() {
                None => (input, input_gradient.take()),
                Some(Stage { output, gradient, rectifies, .. }) => {
                    (&*output, Some(InputGradient { out: gradient, rectified: *rectifies }))
                }
            };
            link.backward(Backward { input, examples, output_gradient, input_gradient });
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        self.stages.iter().flat_map(|stage| stage.link.variables()).collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        self.stages.iter_mut().flat_map(|stage| stage.link.variables_mut()).collect()
    }
}
