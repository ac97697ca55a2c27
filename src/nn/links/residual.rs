//! A residual block with pre-activation (He et al., V2): with a = before(x), the sum of body(a) and of what skips it, which is x, or
//! skip(a) where the shape changes.

use candle_core::Tensor;

use crate::nn::kernels::elementwise::{add, add_on_this_thread};
use crate::nn::kernels::{Matrix, Path};
use crate::nn::links::variable::Variable;
use crate::nn::links::{Backward, Evaluate, InputGradient, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// A residual block. The tensors of its parts have their names as they are.
#[derive(Debug)]
pub struct Residual {
    /// Shared by body and skip; it must rectify.
    pub before: Box<dyn Link>,
    /// The block's own work.
    pub body: Box<dyn Link>,
    /// What the input goes through beside the body, if its shape changes.
    pub skip: Option<Box<dyn Link>>,
}

impl Residual {
    fn parts(&self) -> impl Iterator<Item = &dyn Link> {
        [&self.before, &self.body].into_iter().chain(&self.skip).map(|link| &**link)
    }

    /// Each part's share of what belongs to all.
    fn shares<'a, T>(&self, values: &'a [T]) -> Vec<&'a [T]> {
        let mut rest = values;
        let share = |part: &dyn Link| {
            let (own, others) = rest.split_at(part.tensors().len());
            rest = others;
            own
        };
        self.parts().map(share).collect()
    }
}

impl Link for Residual {
    fn input(&self) -> Shape {
        self.before.input()
    }

    fn output(&self) -> Shape {
        self.body.output()
    }

    fn rectifies(&self) -> bool {
        false
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        self.parts().flat_map(Link::tensors).collect()
    }

    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        let shares = self.shares(values);
        Box::new(Evaluator {
            before: self.before.evaluator(shares[0], path),
            body: self.body.evaluator(shares[1], path),
            skip: self.skip.as_ref().map(|skip| skip.evaluator(shares[2], path)),
        })
    }

    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train> {
        assert!(self.before.rectifies() && !self.body.rectifies(), "the gradient at the sum is that of both");
        let shares = self.shares(values);
        Box::new(Trainer {
            before: self.before.trainer(shares[0], path),
            body: self.body.trainer(shares[1], path),
            skip: self.skip.as_ref().map(|skip| skip.trainer(shares[2], path)),
            activation: Matrix::default(),
        })
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        let shares = self.shares(values);
        let activation = self.before.reference(shares[0], input)?;
        let body = self.body.reference(shares[1], &activation)?;
        match &self.skip {
            None => body + input,
            Some(skip) => body + skip.reference(shares[2], &activation)?,
        }
    }
}

struct Evaluator {
    before: Box<dyn Evaluate>,
    body: Box<dyn Evaluate>,
    skip: Option<Box<dyn Evaluate>>,
}

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        let mut activation = spare.take();
        self.before.forward(input, examples, &mut activation, spare);
        self.body.forward(&activation, examples, output, spare);
        match &self.skip {
            None => add_on_this_thread(output, input),
            Some(skip) => {
                let mut other = spare.take();
                skip.forward(&activation, examples, &mut other, spare);
                add_on_this_thread(output, &other);
                spare.give(other);
            }
        }
        spare.give(activation);
    }
}

struct Trainer {
    before: Box<dyn Train>,
    body: Box<dyn Train>,
    skip: Option<Box<dyn Train>>,
    activation: Matrix,
}

impl Train for Trainer {
    fn forward(&mut self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        let Self { before, body, skip, activation } = self;
        before.forward(input, examples, activation, spare);
        body.forward(activation, examples, output, spare);
        match skip {
            None => add(output, input),
            Some(skip) => {
                let mut other = spare.take();
                skip.forward(activation, examples, &mut other, spare);
                add(output, &other);
                spare.give(other);
            }
        }
    }

    fn backward(&mut self, pass: Backward) {
        let Backward { input, examples, output_gradient, mut input_gradient, spare } = pass;
        let Self { before, body, skip, activation } = self;
        // 'before' rectifies, so each part of its gradient is masked alike.
        let at = |out| Some(InputGradient { out, rectified: true });
        let mut gradient = spare.take();
        body.backward(Backward {
            input: activation,
            examples,
            output_gradient,
            input_gradient: at(&mut gradient),
            spare,
        });
        if let Some(skip) = skip {
            let mut other = spare.take();
            skip.backward(Backward {
                input: activation,
                examples,
                output_gradient,
                input_gradient: at(&mut other),
                spare,
            });
            add(&mut gradient, &other);
            spare.give(other);
        }
        let reborrowed = input_gradient
            .as_mut()
            .map(|InputGradient { out, rectified }| InputGradient { out, rectified: *rectified });
        before.backward(Backward {
            input,
            examples,
            output_gradient: &gradient,
            input_gradient: reborrowed,
            spare,
        });
        spare.give(gradient);
        if skip.is_none()
            && let Some(InputGradient { out, rectified }) = input_gradient
        {
            assert!(!rectified, "no ReLU makes what a block without a skip is given");
            add(out, output_gradient);
        }
    }

    fn variables(&self) -> Vec<&Variable> {
        let parts = [&self.before, &self.body].into_iter().chain(&self.skip);
        parts.flat_map(|part| part.variables()).collect()
    }

    fn variables_mut(&mut self) -> Vec<&mut Variable> {
        let parts = [&mut self.before, &mut self.body].into_iter().chain(&mut self.skip);
        parts.flat_map(|part| part.variables_mut()).collect()
    }
}
