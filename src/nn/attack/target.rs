//! The network that is attacked: in evaluation, with gradients at its input.
//!
//! All its tensors are fixed, so that norms use their running means and no gradient at a tensor is computed. Layers may have
//! alternatives: the same layer with other weights. Each example goes through the one that is chosen for it, as if it were alone: what
//! it gives, and the gradient there, do not depend on the examples beside it, bit for bit.

use crate::nn::kernels::Matrix;
use crate::nn::links::variable::Variable;
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
                link.variables_mut().into_iter().for_each(Variable::fix);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;
    use crate::nn::examples::Labelled;
    use crate::nn::loss::Score;
    use crate::nn::zoo::Arch;

    /// Networks with running means that no batch has, and images.
    fn all() -> impl Iterator<Item = (Network, Params, Vec<f32>)> {
        let texts = [
            r#"{"identity_resnet": {"stages": 2, "blocks": 2, "width": 5}}"#,
            r#"{"identity_resnet": {"stages": 2, "blocks": 2, "width": 5, "bn": true}}"#,
            r#"{"resnet": {"depth": 50, "width": 3, "bn": true}}"#,
            r#"{"fcn": {"depth": 2, "width": 9}}"#,
            r#"{"vit": {"depth": 2, "width": 12, "heads": 3, "patch": 4}}"#,
            r#"{"mixer": {"depth": 2, "width": 8, "tokens": 5, "channels": 6, "patch": 4}}"#,
        ];
        texts.into_iter().map(|text| {
            let network = serde_json::from_str::<Arch>(text).unwrap().network([3, 8, 8], 3);
            let mut stream = rng::stream(0, &["target"]);
            let mut params = network.init(0);
            for tensor in params.0.iter_mut().filter(|tensor| tensor.name.contains("running_")) {
                // Means as small as what they are of: larger ones would leave no ReLU open.
                let [low, high] = if tensor.name.ends_with("mean") { [-0.02, 0.02] } else { [0.0, 0.5] };
                tensor.values.iter_mut().for_each(|value| *value += stream.uniform(low, high) as f32);
            }
            let rows = (0..3 * 192).map(|_| stream.normal() as f32).collect();
            (network, params, rows)
        })
    }

    const LABELS: [u16; 3] = [0, 2, 1];
    const NONE: [Vec<Swap>; 3] = [const { Vec::new() }; 3];

    /// The sum of the losses as the evaluated network has it.
    fn loss(network: &Network, params: &Params, rows: &[f32]) -> f64 {
        let fill = |indices: &[u32], out: &mut [f32]| {
            for (index, out) in indices.iter().zip(out.chunks_exact_mut(192)) {
                out.copy_from_slice(&rows[*index as usize * 192..][..192]);
            }
        };
        let score: Score =
            crate::nn::evaluate::score(network, params, &Labelled { labels: &LABELS, fill: &fill });
        score.loss
    }

    #[test]
    fn gradients_are_difference_quotients_of_the_evaluated_network() {
        for (network, params, rows) in all() {
            let mut target = Target::new(&network, &params, &[], &[]);
            let mut gradient = vec![0.0; rows.len()];
            target.gradient(&rows, &LABELS, &NONE, &mut gradient);
            let largest = gradient.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let mut direction = rng::stream(1, &["direction"]);
            for _ in 0..4 {
                let direction: Vec<f32> = rows.iter().map(|_| direction.normal() as f32).collect();
                let moved = |by: f32| -> Vec<f32> {
                    rows.iter().zip(&direction).map(|(row, direction)| row + by * direction).collect()
                };
                let quotient =
                    (loss(&network, &params, &moved(2e-4)) - loss(&network, &params, &moved(-2e-4))) / 4e-4;
                let slope: f64 =
                    gradient.iter().zip(&direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                let bound = 2e-2 * f64::from(largest) * (rows.len() as f64).sqrt();
                assert!(
                    (slope - quotient).abs() < bound,
                    "{slope} and {quotient}, {:?}",
                    network.layers()[1]
                );
            }
        }
    }

    /// As if each example were alone, and its network had these weights only.
    #[test]
    fn each_example_goes_through_its_own_weights() {
        for (network, params, rows) in all().take(3) {
            let sets = [network.draw(0, 0), network.draw(0, 1)];
            let swappable = [1, 2, 4];
            let swaps = [vec![(1, 0), (4, 1)], Vec::new(), vec![(1, 1)]];
            let mut target = Target::new(&network, &params, &sets, &swappable);
            let mut gradient = vec![0.0; rows.len()];
            target.gradient(&rows, &LABELS, &swaps, &mut gradient);
            for (example, swaps) in swaps.iter().enumerate() {
                let mut patched = params.clone();
                for (place, set) in swaps {
                    let layer = &network.layers()[*place].name;
                    let tensors =
                        patched.0.iter_mut().zip(&sets[*set]).filter(|(tensor, _)| tensor.is_of(layer));
                    tensors.for_each(|(tensor, other)| tensor.clone_from(other));
                }
                let mut alone = Target::new(&network, &patched, &[], &[]);
                let (row, mut slope) = (&rows[example * 192..][..192], [0.0; 192]);
                alone.gradient(row, &LABELS[example..=example], &NONE[..1], &mut slope);
                assert_eq!(slope, gradient[example * 192..][..192]);
                assert_eq!(alone.logits(), target.logits()[example * 3..][..3]);
            }
            let mut last = vec![0.0; rows.len()];
            target.gradient(&rows, &LABELS, &NONE, &mut last);
            assert_ne!(last, gradient);
        }
    }
}
