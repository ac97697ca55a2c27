//! The two ends of a vision transformer: [`Embed`] puts a learned token before the positions of a map and adds what tells the positions
//! apart, [`First`] takes that token out again.

use candle_core::Tensor;

use crate::nn::init::Distribution;
use crate::nn::kernels::tokens::{self, Tokens};
use crate::nn::kernels::{Matrix, Path, elementwise};
use crate::nn::links::variable::{Layout, Variable};
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A class token before the positions, and a learned number for each position and channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Embed {
    /// What comes in.
    pub input: Shape,
    /// Where the token's initial values come from.
    pub token: Distribution,
    /// Likewise the positions'.
    pub positions: Distribution,
}

impl Link for Embed {
    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        Shape { channels: self.input.channels, map: [1 + self.input.positions(), 1] }
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        let tensor = |name: &str, count, distribution| TensorSpec {
            name: name.into(),
            shape: vec![1, count, self.input.channels],
            distribution,
        };
        vec![
            tensor("cls_token", 1, self.token),
            tensor("pos_embed", self.output().positions(), self.positions),
        ]
    }

    fn evaluator(&self, values: &[&Parameter], _: Path) -> Box<dyn Evaluate> {
        let [token, table] = [0, 1].map(|index| Layout::Rows.pack(values[index]));
        Box::new(Embedder { token, table })
    }

    fn trainer(&self, values: &[&Parameter], _: Path) -> Box<dyn Train> {
        Box::new(EmbedTrainer([0, 1].map(|index| Variable::new(values[index], Layout::Rows))))
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let rows = self.input.rows(input)?;
        let token = values[0].broadcast_as((rows.dim(0)?, 1, self.input.channels))?;
        self.output().maps(&Tensor::cat(&[&token, &rows], 1)?.broadcast_add(values[1])?)
    }
}

struct Embedder {
    token: Matrix,
    table: Matrix,
}

impl Evaluate for Embedder {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(self.table.rows() * examples, input.columns());
        Tokens { token: &self.token, table: &self.table }.embed_on_this_thread(input, output);
    }
}

/// The token, and the table of positions.
struct EmbedTrainer([Variable; 2]);

impl Train for EmbedTrainer {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        let [token, table] = &self.0;
        output.set_shape(table.value.rows() * examples, input.columns());
        Tokens { token: &token.value, table: &table.value }.embed(input, output);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, input_gradient, .. } = pass;
        let [token, table] = &mut self.0;
        tokens::gradients(output_gradient, &mut token.gradient, &mut table.gradient);
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            tokens::take(output_gradient, examples, out);
            if rectified {
                elementwise::mask(out, input);
            }
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        self.0.iter().collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        self.0.iter_mut().collect()
    }
}

/// The first position of what comes in. No tensors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct First(pub Shape);

impl Link for First {
    fn input(&self) -> Shape {
        self.0
    }

    fn output(&self) -> Shape {
        Shape::flat(self.0.channels)
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        Vec::new()
    }

    fn evaluator(&self, _: &[&Parameter], _: Path) -> Box<dyn Evaluate> {
        Box::new(Taker)
    }

    fn trainer(&self, _: &[&Parameter], _: Path) -> Box<dyn Train> {
        Box::new(Taker)
    }

    fn reference(&self, _: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        self.0.rows(input)?.narrow(1, 0, 1)?.squeeze(1)
    }
}

struct Taker;

impl Evaluate for Taker {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(examples, input.columns());
        tokens::take(input, 0, output);
    }
}

impl Train for Taker {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(examples, input.columns());
        tokens::take(input, 0, output);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, output_gradient, input_gradient, .. } = pass;
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            tokens::put(output_gradient, out);
            if rectified {
                elementwise::mask(out, input);
            }
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        Vec::new()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        Vec::new()
    }
}
