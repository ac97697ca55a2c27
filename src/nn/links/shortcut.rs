//! A sum around a link: x + body(x). The link's tensors have their names as they are.

use candle_core::Tensor;

use crate::nn::kernels::elementwise::{self, add, add_on_this_thread};
use crate::nn::kernels::{Matrix, Path};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A link that is added to what it is given; it keeps the shape and does not rectify.
#[derive(Debug)]
pub struct Shortcut(pub Box<dyn Link>);

impl Link for Shortcut {
    fn input(&self) -> Shape {
        self.0.input()
    }

    fn output(&self) -> Shape {
        self.0.output()
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        self.0.tensors()
    }

    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        Box::new(Evaluator(self.0.evaluator(values, path)))
    }

    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train> {
        assert!(!self.0.rectifies(), "the gradient at the sum is that of both");
        Box::new(Trainer(self.0.trainer(values, path)))
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        self.0.reference(values, input)? + input
    }
}

struct Evaluator(Box<dyn Evaluate>);

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        self.0.forward(input, examples, output, spare);
        add_on_this_thread(output, input);
    }
}

struct Trainer(Box<dyn Train>);

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        self.0.forward(input, examples, output, spare);
        add(output, input);
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, mut input_gradient, spare } = pass;
        let of_body =
            input_gradient.as_mut().map(|wanted| InputGradient { out: wanted.out, rectified: false });
        self.0.backward(Backward { input, examples, output_gradient, input_gradient: of_body, spare });
        if let Some(InputGradient { out, rectified }) = input_gradient {
            add(out, output_gradient);
            if rectified {
                elementwise::mask(out, input);
            }
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        self.0.variables()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        self.0.variables_mut()
    }
}
