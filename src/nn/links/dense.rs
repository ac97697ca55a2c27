//! A dense layer, with or without a ReLU behind it: y = max(0, x·W + b).
//!
//! With G the gradient of x·W + b: the gradients are xᵀ·G for W, the column sums of G for b, and G·Wᵀ for x.

use crate::nn::init::Distribution;
use crate::nn::kernels::{Finish, Matrix, Path, Product, View};
use crate::nn::links::{Below, Evaluate, Learn, Link, Tensor};
use crate::nn::optimizer::Update;
use crate::nn::params::Parameter;

/// A dense layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dense {
    /// Numbers per example that come in.
    pub inputs: usize,
    /// Numbers per example that go out.
    pub outputs: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Dense {
    /// PyTorch's `[out, in]` as in×out.
    fn weight(&self, values: &[f32]) -> Matrix {
        let rows = Matrix::from_rows(self.outputs, self.inputs, values);
        let mut weight = Matrix::zeros(self.inputs, self.outputs);
        rows.transpose_into(&mut weight);
        weight
    }

    fn bias(&self, values: &[f32]) -> Matrix {
        Matrix::from_rows(1, self.outputs, values)
    }
}

/// In×out as PyTorch's `[out, in]`.
fn exported(weight: &Matrix) -> Vec<f32> {
    let mut rows = Matrix::zeros(weight.columns(), weight.rows());
    weight.transpose_into(&mut rows);
    rows.to_rows()
}

impl Link for Dense {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn tensors(&self) -> Vec<Tensor> {
        let distribution = Distribution::fan_in(self.inputs);
        vec![
            Tensor { name: "weight", shape: vec![self.outputs, self.inputs], distribution },
            Tensor { name: "bias", shape: vec![self.outputs], distribution },
        ]
    }

    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        let (weight, bias) = (self.weight(&values[0].values), self.bias(&values[1].values));
        Box::new(Packed { link: self.clone(), weight, bias, path })
    }

    fn learner(&self, values: &[&Parameter], path: Path) -> Box<dyn Learn> {
        let (weight, bias) = (self.weight(&values[0].values), self.bias(&values[1].values));
        let zeros = || [Matrix::zeros(self.inputs, self.outputs), Matrix::zeros(1, self.outputs)];
        Box::new(Learner {
            link: self.clone(),
            flipped: Matrix::zeros(self.outputs, self.inputs),
            output: Matrix::zeros(0, self.outputs),
            gradients: zeros(),
            momentum: zeros(),
            values: [weight, bias],
            path,
        })
    }
}

struct Packed {
    link: Dense,
    /// in×out.
    weight: Matrix,
    /// 1×out.
    bias: Matrix,
    path: Path,
}

impl Evaluate for Packed {
    fn forward(&self, input: &[f32], _rows: usize, output: &mut [f32]) {
        let left = View::rows(input, self.link.inputs);
        let finish = Finish::Bias { bias: &self.bias, relu: self.link.relu };
        Product { left, transposed: false, right: &self.weight, finish, path: self.path }.into_rows(output);
    }
}

struct Learner {
    link: Dense,
    /// Weight (in×out) and bias (1×out).
    values: [Matrix; 2],
    gradients: [Matrix; 2],
    momentum: [Matrix; 2],
    /// The weight transposed, out×in: scratch of the backward pass.
    flipped: Matrix,
    /// Batch×out.
    output: Matrix,
    path: Path,
}

impl Learn for Learner {
    fn forward(&mut self, input: View<'_>) {
        self.output.set_rows(input.row_count());
        let [weight, bias] = &self.values;
        let finish = Finish::Bias { bias, relu: self.link.relu };
        Product { left: input, transposed: false, right: weight, finish, path: self.path }
            .into_panels(&mut self.output);
    }

    fn output(&self) -> &Matrix {
        &self.output
    }

    fn gate(&self) -> Option<&Matrix> {
        self.link.relu.then_some(&self.output)
    }

    fn backward(&mut self, input: View<'_>, gradient: &Matrix, below: Option<Below<'_>>) {
        let [weight, bias] = &mut self.gradients;
        Product { left: input, transposed: true, right: gradient, finish: Finish::Store, path: self.path }
            .into_panels(weight);
        gradient.sum_rows_into(bias);
        if let Some(Below { gradient: target, gate }) = below {
            target.set_rows(gradient.rows());
            self.values[0].transpose_into(&mut self.flipped);
            let finish = gate.map_or(Finish::Store, Finish::Mask);
            let left = gradient.view();
            Product { left, transposed: false, right: &self.flipped, finish, path: self.path }
                .into_panels(target);
        }
    }

    fn update(&mut self, update: &Update) {
        let gradients = self.gradients.iter().zip(&mut self.momentum);
        for (values, (gradient, momentum)) in self.values.iter_mut().zip(gradients) {
            update.apply(values.values_mut(), gradient.values(), momentum.values_mut());
        }
    }

    fn tensors(&self) -> [Vec<Vec<f32>>; 2] {
        [&self.values, &self.momentum].map(|[weight, bias]| vec![exported(weight), bias.to_rows()])
    }

    fn set_momentum(&mut self, momentum: &[&Parameter]) {
        self.momentum = [self.link.weight(&momentum[0].values), self.link.bias(&momentum[1].values)];
    }

    fn gradients(&self) -> Vec<Vec<f32>> {
        let [weight, bias] = &self.gradients;
        vec![exported(weight), bias.to_rows()]
    }
}
