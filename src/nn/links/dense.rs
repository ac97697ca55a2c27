//! A dense layer, with or without a ReLU behind it: y = max(0, W·x + b).

use crate::nn::init::Distribution;
use crate::nn::kernels::Path;
use crate::nn::links::{Evaluate, Link, Tensor};
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

    fn evaluator(&self, values: &[&Parameter], _path: Path) -> Box<dyn Evaluate> {
        Box::new(Packed {
            link: self.clone(),
            weight: values[0].values.clone(),
            bias: values[1].values.clone(),
        })
    }
}

struct Packed {
    link: Dense,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Evaluate for Packed {
    fn forward(&self, input: &[f32], rows: usize, output: &mut [f32]) {
        let Dense { inputs, outputs, relu } = self.link;
        for row in 0..rows {
            let x = &input[row * inputs..][..inputs];
            for out in 0..outputs {
                let weights = &self.weight[out * inputs..][..inputs];
                let sum = weights.iter().zip(x).fold(self.bias[out], |sum, (w, x)| sum + w * x);
                output[row * outputs + out] = if relu { sum.max(0.0) } else { sum };
            }
        }
    }
}
