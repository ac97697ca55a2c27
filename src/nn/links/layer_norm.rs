//! Layer normalisation (Ba et al.): at each position, y = γ·(x − mean)/√(variance + ε) + β over its channels.

use candle_core::{D, Tensor};

use crate::nn::init::Distribution;
use crate::nn::kernels::layer_norm::{self, EPSILON, Moments};
use crate::nn::kernels::{Matrix, Path, elementwise};
use crate::nn::links::variable::{Layout, Variable};
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// Layer normalisation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerNorm(pub Shape);

impl Link for LayerNorm {
    fn input(&self) -> Shape {
        self.0
    }

    fn output(&self) -> Shape {
        self.0
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        let tensor = |(name, distribution): (&str, _)| TensorSpec {
            name: name.into(),
            shape: vec![self.0.channels],
            distribution,
        };
        [("weight", Distribution::One), ("bias", Distribution::Zero)].map(tensor).into()
    }

    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        let [gamma, beta] = [0, 1].map(|index| Layout::Row.pack(values[index]));
        Box::new(Evaluator { gamma, beta, path })
    }

    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train> {
        let variables = [0, 1].map(|index| Variable::new(values[index], Layout::Row));
        Box::new(Trainer { variables, moments: Vec::new(), path })
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let rows = self.0.rows(input)?;
        let centred = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + f64::from(EPSILON))?.sqrt()?;
        let normal = centred.broadcast_div(&deviation)?;
        self.0.maps(&normal.broadcast_mul(values[0])?.broadcast_add(values[1])?)
    }
}

struct Evaluator {
    gamma: Matrix,
    beta: Matrix,
    path: Path,
}

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), input.columns());
        layer_norm::forward_on_this_thread([&self.gamma, &self.beta], input, self.path, output);
    }
}

struct Trainer {
    /// γ and β.
    variables: [Variable; 2],
    /// Of the latest batch.
    moments: Vec<Moments>,
    path: Path,
}

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        let Self { variables: [gamma, beta], moments, path } = self;
        output.set_shape(input.rows(), input.columns());
        layer_norm::forward([&gamma.value, &beta.value], input, *path, moments, output);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, output_gradient: gradient, input_gradient, .. } = pass;
        let Self { variables: [gamma, beta], moments, path } = self;
        let pass = layer_norm::Backward { gamma: &gamma.value, input, moments, gradient, path: *path };
        pass.of_variables(&mut gamma.gradient, &mut beta.gradient);
        if let Some(InputGradient { out, rectified }) = input_gradient {
            out.set_shape(input.rows(), input.columns());
            pass.of_input(out);
            if rectified {
                elementwise::mask(out, input);
            }
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        self.variables.iter().collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        self.variables.iter_mut().collect()
    }
}
