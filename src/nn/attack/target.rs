//! The network that is attacked: in evaluation, with gradients at its input.
//!
//! All its tensors are fixed, so that norms use their running means and no gradient at a tensor is computed. Layers may have
//! alternatives: the same layer with other weights. Each example goes through the one that is chosen for it, as if it were alone: what
//! it gives, and the gradient there, do not depend on the examples beside it, bit for bit.

use crate::nn::kernels::Matrix;
use crate::nn::links::{Backward, InputGradient, Link, Shape, Spare, Train};
use crate::nn::loss;
use crate::nn::metric::Metric;
use crate::nn::network::Network;
use crate::nn::params::Params;

/// A layer, by its place in the chain, and which of its alternatives takes its place, from 0.
pub type Swap = (usize, usize);

/// A network with fixed weights. Works on the threads of the current rayon pool; the bits do not depend on how many there are.
pub struct Target {
    layers: Vec<Layer>,
    shape: Shape,
    input: Matrix,
    logits: Matrix,
    /// One row of logits.
    row: Vec<f32>,
    spare: Spare,
}

impl Target {
    /// Packs a network's own weights, and `sets` of others for the layers at these places.
    pub fn new(network: &Network, own: &Params, sets: &[Params], swappable: &[usize]) -> Self {
        let layer = |(place, layer): (usize, &crate::nn::network::Layer)| {
            let with = |params: &Params| {
                let values: Vec<_> = params.of_layer(&layer.name).collect();
                let mut link = layer.link.trainer(&values, network.path());
                link.variables_mut().into_iter().for_each(|variable| variable.fix());
                Variant { link, input: Matrix::default(), members: Vec::new() }
            };
            let others = sets.iter().filter(|_| swappable.contains(&place));
            let variants = std::iter::once(own).chain(others).map(with).collect();
            let (rectifies, shapes) = (layer.link.rectifies(), shapes(&*layer.link));
            Layer { variants, rectifies, shapes, output: Matrix::default() }
        };
        Self {
            layers: network.layers().iter().enumerate().map(layer).collect(),
            shape: network.input(),
            input: network.input().batch(),
            logits: Matrix::default(),
            row: vec![0.0; network.classes()],
            spare: Spare::default(),
        }
    }

    /// How many of these examples are misclassified. `rows` is labels × features; `swaps` has those of each example.
    pub fn errors(&mut self, rows: &[f32], labels: &[u16], swaps: &[Vec<Swap>]) -> usize {
        self.forward(rows, swaps);
        let mut errors = 0.0;
        for (example, label) in labels.iter().enumerate() {
            self.logits.copy_row(example, &mut self.row);
            errors += Metric::Error.of(&self.row, usize::from(*label));
        }
        errors as usize
    }

    /// Writes the gradient of each example's loss at its row.
    pub fn gradient(&mut self, rows: &[f32], labels: &[u16], swaps: &[Vec<Swap>], out: &mut [f32]) {
        self.forward(rows, swaps);
        let Self { layers, shape, input, logits, row, spare } = self;
        let mut gradient = spare.take();
        gradient.set_shape(logits.rows(), logits.columns());
        loss::cross_entropy_gradient(logits, labels, 1.0, &mut gradient, row);
        for index in (0..layers.len()).rev() {
            let (before, layer) = layers.split_at_mut(index);
            let (input, rectified) = before.last().map_or((&*input, false), |l| (&l.output, l.rectifies));
            let mut next = spare.take();
            layer[0].backward(input, &gradient, InputGradient { out: &mut next, rectified }, spare);
            spare.give(std::mem::replace(&mut gradient, next));
        }
        shape.unload(&gradient, out);
        spare.give(gradient);
    }

    /// The logits of the latest batch, row-major.
    pub fn logits(&self) -> Vec<f32> {
        self.logits.to_rows()
    }

    fn forward(&mut self, rows: &[f32], swaps: &[Vec<Swap>]) {
        let Self { layers, shape, input, logits, spare, .. } = self;
        shape.load(rows, input);
        for index in 0..layers.len() {
            let (before, layer) = layers.split_at_mut(index);
            layer[0].choose(swaps.iter().map(|swaps| alternative(swaps, index)));
            layer[0].forward(before.last().map_or(&*input, |before| &before.output), spare);
        }
        std::mem::swap(logits, &mut layers.last_mut().expect("a network has a layer").output);
    }
}

/// Which variant of a layer an example goes through; 0 is the layer's own.
fn alternative(swaps: &[Swap], place: usize) -> usize {
    swaps.iter().find(|(layer, _)| *layer == place).map_or(0, |(_, alternative)| alternative + 1)
}

fn shapes(link: &dyn Link) -> [Shape; 2] {
    [link.input(), link.output()]
}

struct Layer {
    /// With its own weights, then with the others.
    variants: Vec<Variant>,
    rectifies: bool,
    /// Of what comes in and goes out.
    shapes: [Shape; 2],
    output: Matrix,
}

struct Variant {
    link: Box<dyn Train>,
    /// The examples of the latest batch that go through it.
    members: Vec<usize>,
    /// What they are here, if others go elsewhere.
    input: Matrix,
}

impl Layer {
    fn choose(&mut self, choices: impl Iterator<Item = usize>) {
        self.variants.iter_mut().for_each(|variant| variant.members.clear());
        for (example, choice) in choices.enumerate() {
            self.variants[choice].members.push(example);
        }
    }

    fn forward(&mut self, input: &Matrix, spare: &mut Spare) {
        let Self { variants, shapes, output, .. } = self;
        let [incoming, outgoing] = shapes.map(|shape| shape.positions());
        let examples = input.rows() / incoming;
        output.set_shape(examples * outgoing, shapes[1].channels);
        for Variant { link, members, input: own } in variants.iter_mut().filter(|v| !v.members.is_empty()) {
            if members.len() == examples {
                link.forward(input, examples, output, spare);
                continue;
            }
            gather(input, examples, members, own);
            let mut part = spare.take();
            link.forward(own, members.len(), &mut part, spare);
            scatter(&part, members, examples, output);
            spare.give(part);
        }
    }

    fn backward(&mut self, input: &Matrix, gradient: &Matrix, wanted: InputGradient, spare: &mut Spare) {
        let Self { variants, shapes, .. } = self;
        let InputGradient { out, rectified } = wanted;
        let examples = input.rows() / shapes[0].positions();
        out.set_shape(input.rows(), input.columns());
        for Variant { link, members, input: own } in variants.iter_mut().filter(|v| !v.members.is_empty()) {
            if members.len() == examples {
                let input_gradient = Some(InputGradient { out: &mut *out, rectified });
                link.backward(Backward { input, examples, output_gradient: gradient, input_gradient, spare });
                continue;
            }
            let [mut outer, mut inner] = [spare.take(), spare.take()];
            gather(gradient, examples, members, &mut outer);
            link.backward(Backward {
                input: own,
                examples: members.len(),
                output_gradient: &outer,
                input_gradient: Some(InputGradient { out: &mut inner, rectified }),
                spare,
            });
            scatter(&inner, members, examples, out);
            spare.give(outer);
            spare.give(inner);
        }
    }
}

/// Copies the rows of some examples of a batch into a batch of their own.
fn gather(batch: &Matrix, examples: usize, members: &[usize], part: &mut Matrix) {
    part.set_shape(batch.rows() / examples * members.len(), batch.columns());
    let mut row = vec![0.0; batch.columns()];
    for (index, place) in places(batch.rows() / examples, members, examples).enumerate() {
        batch.copy_row(place, &mut row);
        part.set_row(index, &row);
    }
}

/// The reverse.
fn scatter(part: &Matrix, members: &[usize], examples: usize, batch: &mut Matrix) {
    let mut row = vec![0.0; part.columns()];
    for (index, place) in places(part.rows() / members.len(), members, examples).enumerate() {
        part.copy_row(index, &mut row);
        batch.set_row(place, &row);
    }
}

/// Rows of these examples in a batch, position by position.
fn places(positions: usize, members: &[usize], examples: usize) -> impl Iterator<Item = usize> {
    (0..positions).flat_map(move |position| members.iter().map(move |member| position * examples + member))
}
