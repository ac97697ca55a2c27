//! Several links as one: a layer of the network may be a convolution with its pooling.

use candle_core::Tensor;

use crate::nn::kernels::{Matrix, Path};
use crate::nn::links::chain::Chain;
use crate::nn::links::{Evaluate, Link, Shape, Spare, TensorSpec, Train};
use crate::nn::params::Parameter;

/// Links one after the other. A tensor is named after the link's name here, a dot, and its name there; without the first two where
/// the link has no name.
#[derive(Debug)]
pub struct Sequence(pub Vec<(&'static str, Box<dyn Link>)>);

impl Sequence {
    fn links(&self) -> impl Iterator<Item = &dyn Link> {
        self.0.iter().map(|(_, link)| &**link)
    }

    /// Each link with its part of what belongs to all.
    fn parts<'a, T>(&'a self, values: &'a [T]) -> impl Iterator<Item = (&'a dyn Link, &'a [T])> {
        let mut rest = values;
        self.links().map(move |link| {
            let (own, others) = rest.split_at(link.tensors().len());
            rest = others;
            (link, own)
        })
    }
}

impl Link for Sequence {
    fn input(&self) -> Shape {
        self.0[0].1.input()
    }

    fn output(&self) -> Shape {
        self.0[self.0.len() - 1].1.output()
    }

    fn rectifies(&self) -> bool {
        self.0[self.0.len() - 1].1.rectifies()
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        let name = |prefix: &str, name: String| {
            if prefix.is_empty() { name } else { format!("{prefix}.{name}") }
        };
        let tensors = self
            .0
            .iter()
            .flat_map(|(prefix, link)| link.tensors().into_iter().map(move |tensor| (*prefix, tensor)));
        tensors.map(|(prefix, tensor)| TensorSpec { name: name(prefix, tensor.name), ..tensor }).collect()
    }

    fn evaluator(&self, values: &[&Parameter], path: Path) -> Box<dyn Evaluate> {
        Box::new(Evaluator(self.parts(values).map(|(link, own)| link.evaluator(own, path)).collect()))
    }

    fn trainer(&self, values: &[&Parameter], path: Path) -> Box<dyn Train> {
        let links = self.parts(values).map(|(link, own)| (link.trainer(own, path), link.rectifies()));
        Box::new(Chain::new(links))
    }

    fn reference(&self, values: &[&Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
        self.parts(values).try_fold(input.clone(), |input, (link, own)| link.reference(own, &input))
    }
}

struct Evaluator(Vec<Box<dyn Evaluate>>);

impl Evaluate for Evaluator {
    fn forward(&self, input: &Matrix, examples: usize, output: &mut Matrix, spare: &mut Spare) {
        let (last, before) = self.0.split_last().expect("a sequence has a link");
        let mut between: Option<Matrix> = None;
        for link in before {
            let mut next = spare.take();
            link.forward(between.as_ref().unwrap_or(input), examples, &mut next, spare);
            if let Some(used) = between.replace(next) {
                spare.give(used);
            }
        }
        last.forward(between.as_ref().unwrap_or(input), examples, output, spare);
        if let Some(used) = between {
            spare.give(used);
        }
    }
}
