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
        let parts: Vec<_> = self.parts(values).collect();
        let (mut rest, mut links) = (&parts[..], Vec::new());
        while let Some(((link, own), others)) = rest.split_first() {
            let next = others.first().and_then(|(next, values)| next.affine(values));
            let both = next.and_then(|next| link.evaluator_with(own, &next, path));
            rest = &others[usize::from(both.is_some())..];
            links.push(both.unwrap_or_else(|| link.evaluator(own, path)));
        }
        Box::new(Evaluator(links))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;
    use crate::nn::init::Distribution;
    use crate::nn::kernels::Window;
    use crate::nn::links::convolution::Convolution;
    use crate::nn::links::norm::BatchNorm;

    #[test]
    fn a_norm_behind_a_convolution_is_folded_into_it() {
        let mut stream = rng::stream(0, &["fold"]);
        // In tiles, tap by tap, and unfolded.
        for (input, channels) in [(40, 70), (17, 70), (3, 10)] {
            let shape = Shape { channels: input, map: [6, 6] };
            let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
            let (weight, bias) = (Distribution::One, Some(Distribution::One));
            let convolution = Convolution { input: shape, channels, window, relu: false, weight, bias };
            let norm = BatchNorm { shape: convolution.output(), relu: true };
            let both =
                Sequence(vec![("conv", Box::new(convolution.clone())), ("norm", Box::new(norm.clone()))]);
            let values = both.tensors().into_iter().map(|TensorSpec { name, shape, .. }| {
                let count: usize = shape.iter().product();
                let value = |_| if name == "norm.running_var" { 1.5 } else { stream.normal() as f32 };
                Parameter { values: (0..count).map(value).collect(), name: name.clone(), shape }
            });
            let values: Vec<_> = values.collect();
            let values: Vec<_> = values.iter().collect();
            let rows: Vec<f32> = (0..2 * shape.count()).map(|_| stream.normal() as f32).collect();
            let (mut batch, mut spare) = (shape.batch(), Spare::default());
            shape.load(&rows, &mut batch);
            for path in Path::available() {
                let [mut folded, mut between, mut apart] = [(); 3].map(|()| Matrix::default());
                both.evaluator(&values, path).forward(&batch, 2, &mut folded, &mut spare);
                convolution.evaluator(&values[..2], path).forward(&batch, 2, &mut between, &mut spare);
                norm.evaluator(&values[2..], path).forward(&between, 2, &mut apart, &mut spare);
                let largest = apart.values().iter().fold(0.0_f32, |largest, value| largest.max(*value));
                assert!(largest > 1.0 && folded != apart, "something is folded");
                let pairs = folded.values().iter().zip(apart.values());
                let far = pairs.fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
                assert!(far <= 1e-6 * largest, "{path:?}: {far} of {largest}");
            }
        }
    }
}
