//! A sum around a link: x + body(x), or skip(x) + body(x) where the body changes the shape; perhaps with a ReLU behind it.

use candle_core::Tensor;

use crate::nn::kernels::elementwise::{
    self, add, add_and_rectify, add_and_rectify_on_this_thread, add_on_this_thread,
};
use crate::nn::kernels::{Matrix, Path};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A sum of what two links make of the same. Their tensors have their names as they are.
#[derive(Debug)]
pub struct Shortcut {
    /// What is added; it does not rectify.
    pub body: Box<dyn Link>,
    /// What the input goes through beside the body, if its shape changes; it does not rectify either.
    pub skip: Option<Box<dyn Link>>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Shortcut {
    /// A link that is added to what it is given.
    pub fn around(body: impl Link + 'static) -> Self {
        Self { body: Box::new(body), skip: None, relu: false }
    }

    fn parts(&self) -> impl Iterator<Item = &dyn Link> {
        [&self.body].into_iter().chain(&self.skip).map(|link| &**link)
    }

    /// The body's share of what belongs to both, and the skip's.
    fn shares<'a, T>(&self, values: &'a [T]) -> (&'a [T], &'a [T]) {
        values.split_at(self.body.tensors().len())
    }
}

impl Link for Shortcut {
    fn input(&self) -> Shape {
        self.body.input()
    }

    fn output(&self) -> Shape {
        self.body.output()
    }

    fn rectifies(&self) -> bool {
        self.relu
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        self.parts().flat_map(Link::tensors).collect()
    }

    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        let (of_body, of_skip) = self.shares(values);
        Box::new(Evaluator {
            body: self.body.evaluator(of_body, path),
            skip: self.skip.as_ref().map(|skip| skip.evaluator(of_skip, path)),
            relu: self.relu,
        })
    }

    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train> {
        assert!(self.parts().all(|part| !part.rectifies()), "the gradient at the sum is that of both");
        let (of_body, of_skip) = self.shares(values);
        Box::new(Trainer {
            body: self.body.trainer(of_body, path),
            skip: self.skip.as_ref().map(|skip| skip.trainer(of_skip, path)),
            relu: self.relu,
        })
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let (of_body, of_skip) = self.shares(values);
        let body = self.body.reference(of_body, input)?;
        let sum = match &self.skip {
            None => body + input,
            Some(skip) => body + skip.reference(of_skip, input)?,
        }?;
        if self.relu { sum.relu() } else { Ok(sum) }
    }
}

struct Evaluator {
    body: Box<dyn Evaluate>,
    skip: Option<Box<dyn Evaluate>>,
    relu: bool,
}

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        self.body.forward(input, examples, output, spare);
        let add = if self.relu { add_and_rectify_on_this_thread } else { add_on_this_thread };
        let Some(skip) = &self.skip else { return add(output, input) };
        let mut other = spare.take();
        skip.forward(input, examples, &mut other, spare);
        add(output, &other);
        spare.give(other);
    }
}

struct Trainer {
    body: Box<dyn Train>,
    skip: Option<Box<dyn Train>>,
    relu: bool,
}

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        self.body.forward(input, examples, output, spare);
        let add = if self.relu { add_and_rectify } else { add };
        let Some(skip) = &mut self.skip else { return add(output, input) };
        let mut other = spare.take();
        skip.forward(input, examples, &mut other, spare);
        add(output, &other);
        spare.give(other);
    }

    /// The gradient that it is given is that before its ReLU already.
    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, mut input_gradient, spare } = pass;
        let of_body =
            input_gradient.as_mut().map(|wanted| InputGradient { out: wanted.out, rectified: false });
        self.body.backward(Backward { input, examples, output_gradient, input_gradient: of_body, spare });
        let mut other = self.skip.as_ref().map(|_| spare.take());
        if let (Some(skip), Some(out)) = (&mut self.skip, &mut other) {
            let of_skip = input_gradient.is_some().then_some(InputGradient { out, rectified: false });
            skip.backward(Backward { input, examples, output_gradient, input_gradient: of_skip, spare });
        }
        if let Some(InputGradient { out, rectified }) = input_gradient {
            add(out, other.as_ref().unwrap_or(output_gradient));
            if rectified {
                elementwise::mask(out, input);
            }
        }
        if let Some(other) = other {
            spare.give(other);
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        [&self.body].into_iter().chain(&self.skip).flat_map(|part| part.variables()).collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        [&mut self.body].into_iter().chain(&mut self.skip).flat_map(|part| part.variables_mut()).collect()
    }
}
