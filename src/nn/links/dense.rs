//! A dense layer, with or without a ReLU behind it: y = max(0, W·x + b). On a map, the same at each position.

use candle_core::Tensor;

use crate::nn::init::Distribution;
use crate::nn::kernels::{Finish, Matrix, Path, Product, Taps, WeightGradient};
use crate::nn::links::variable::{Layout, Variable};
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A dense layer.
#[derive(Clone, PartialEq, Debug)]
pub struct Dense {
    /// Height and width of the map; 1×1 where there is none.
    pub map: [usize; 2],
    /// Numbers per position that come in.
    pub inputs: usize,
    /// Numbers per position that go out.
    pub outputs: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Where the weight's initial values come from.
    pub weight: Distribution,
    /// Likewise the bias's.
    pub bias: Distribution,
}

impl Dense {
    /// On plain vectors, with PyTorch's default initialisation.
    pub fn new(inputs: usize, outputs: usize, relu: bool) -> Self {
        let distribution = Distribution::fan_in(inputs);
        Self { map: [1, 1], inputs, outputs, relu, weight: distribution, bias: distribution }
    }
}

impl Link for Dense {
    fn input(&self) -> Shape {
        Shape { channels: self.inputs, map: self.map }
    }

    fn output(&self) -> Shape {
        Shape { channels: self.outputs, map: self.map }
    }

    fn rectifies(&self) -> bool {
        self.relu
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        let tensor = |name: &str, shape, distribution| TensorSpec { name: name.into(), shape, distribution };
        vec![
            tensor("weight", vec![self.outputs, self.inputs], self.weight),
            tensor("bias", vec![self.outputs], self.bias),
        ]
    }

    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        let weight = Layout::Transposed.pack(values[0]);
        let bias = Layout::Row.pack(values[1]);
        Box::new(Evaluator { weight, bias, relu: self.relu, path })
    }

    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train> {
        let variables = [Variable::new(values[0], Layout::Transposed), Variable::new(values[1], Layout::Row)];
        let transposed = Matrix::zeros(self.outputs, self.inputs);
        let positions = self.input().positions();
        let taps = (positions > 1).then(|| Taps::single(positions));
        Box::new(Trainer { variables, transposed, taps, parts: Vec::new(), relu: self.relu, path })
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let rows = self.input().rows(input)?.flatten_to(1)?;
        let output = self.output().maps(&rows.matmul(&values[0].t()?)?.broadcast_add(values[1])?)?;
        if self.relu { output.relu() } else { Ok(output) }
    }
}

struct Evaluator {
    weight: Matrix,
    bias: Matrix,
    relu: bool,
    path: Path,
}

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        output.set_shape(input.rows(), self.weight.columns());
        let finish = Finish::Bias { bias: &self.bias, relu: self.relu };
        Product { left: input, transposed: false, right: &self.weight, finish, path: self.path }
            .on_this_thread(output);
    }
}

struct Trainer {
    /// Weight and bias.
    variables: [Variable; 2],
    /// Out×in: the weight as the right operand of the backward product.
    transposed: Matrix,
    /// On a map, whose many rows the weight's gradient sums in groups, with memory for these.
    taps: Option<Taps>,
    parts: Vec<Matrix>,
    relu: bool,
    path: Path,
}

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, _: usize, output: &mut Matrix, _: &mut Spare) {
        let [weight, bias] = &self.variables;
        output.set_shape(input.rows(), weight.value.columns());
        let finish = Finish::Bias { bias: &bias.value, relu: self.relu };
        Product { left: input, transposed: false, right: &weight.value, finish, path: self.path }
            .into_panels(output);
    }

    /// With Z = X·W + b: dW = Xᵀ·dZ, db = column sums of dZ, dX = dZ·Wᵀ.
    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, input_gradient, .. } = pass;
        let Self { variables: [weight, bias], transposed, taps, parts, path, .. } = self;
        let path = *path;
        let is_fixed = weight.is_fixed();
        let of_variables = || {
            if is_fixed {
                return;
            }
            if let Some(taps) = taps {
                WeightGradient { input, output_gradient, examples, taps, path }
                    .into(parts, &mut weight.gradient);
            } else {
                let finish = Finish::Store;
                Product { left: input, transposed: true, right: output_gradient, finish, path }
                    .into_panels(&mut weight.gradient);
            }
            output_gradient.sum_rows_into(&mut bias.gradient);
        };
        let of_input = || {
            if let Some(InputGradient { out, rectified }) = input_gradient {
                out.set_shape(input.rows(), input.columns());
                weight.value.transpose_into(transposed);
                let finish = if rectified { Finish::Mask(input) } else { Finish::Store };
                Product { left: output_gradient, transposed: false, right: transposed, finish, path }
                    .into_panels(out);
            }
        };
        rayon::join(of_input, of_variables);
    }

    fn variables(&self) -> Vec<&Variable> {
        self.variables.iter().collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        self.variables.iter_mut().collect()
    }
}
