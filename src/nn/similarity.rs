//! How alike two networks represent the same examples: linear centred kernel alignment (Kornblith, Norouzi, Lee and Hinton, "Similarity of
//! neural network representations revisited", 2019), layer by layer.
//!
//! For centred activations X and Y (a row per example, a column per number),
//!
//! ```text
//! CKA(X, Y) = ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) = ⟨K, L⟩ / (‖K‖ ‖L‖)     K = X Xᵀ, L = Y Yᵀ
//! ```
//!
//! 1 where one is a rotation and a scaling of the other. The second form serves: examples are fewer than the numbers of a convolution's maps.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::Matrix;
use crate::nn::links::Spare;
use crate::nn::network::Network;
use crate::nn::params::Params;

/// Which pairs of examples are alike, of one layer's activations: X Xᵀ of the centred X, row by row.
pub struct Likeness(Vec<f64>);

impl Likeness {
    /// Of activations: `examples` rows. In parallel; each sum has one order.
    pub fn of(activations: &[f32], examples: usize) -> Self {
        let width = activations.len() / examples;
        let mut products = vec![0.0; examples * examples];
        products.par_chunks_mut(examples).enumerate().for_each(|(i, products)| {
            let row = &activations[i * width..][..width];
            for (product, other) in products.iter_mut().zip(activations.chunks_exact(width)).take(i + 1) {
                *product = dot(row, other);
            }
        });
        for i in 0..examples {
            for j in 0..i {
                products[j * examples + i] = products[i * examples + j];
            }
        }
        centre(&mut products, examples);
        Self(products)
    }

    /// Linear CKA. NaN if either says that all examples are the same.
    pub fn cka(&self, other: &Self) -> f64 {
        let product = |a: &Self, b: &Self| a.0.iter().zip(&b.0).map(|(a, b)| a * b).sum::<f64>();
        product(self, other) / (product(self, self) * product(other, other)).sqrt()
    }
}

/// In sixteen sums side by side, as a vector unit adds.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += f64::from(*a) * f64::from(*b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) * f64::from(*b));
    sums.into_iter().chain(rest).sum()
}

/// Takes the means of rows and columns away: the products are then those of activations whose mean example is zero.
fn centre(products: &mut [f64], examples: usize) {
    let means: Vec<f64> =
        products.chunks_exact(examples).map(|row| row.iter().sum::<f64>() / examples as f64).collect();
    let mean = means.iter().sum::<f64>() / examples as f64;
    for (row, row_mean) in products.chunks_exact_mut(examples).zip(&means) {
        row.iter_mut()
            .zip(&means)
            .for_each(|(product, column_mean)| *product += mean - row_mean - column_mean);
    }
}

/// The likeness behind each layer of a network with these values: `rows` has what goes into it for `examples` examples.
///
/// `step` is called before each layer, and says whether to go on; `None` if not.
pub fn likenesses(
    network: &Network,
    params: &Params,
    rows: &[f32],
    examples: usize,
    step: &dyn Fn() -> bool,
) -> Option<Vec<Likeness>> {
    let at_once = network.at_once(examples);
    let parts = rows.chunks(at_once * network.features());
    let mut batches: Vec<(usize, Matrix)> = parts
        .map(|rows| {
            let (mut batch, examples) = (Matrix::default(), rows.len() / network.features());
            network.input().load(rows, &mut batch);
            (examples, batch)
        })
        .collect();
    let mut likenesses = Vec::new();
    for (index, layer) in network.layers().iter().enumerate() {
        if !step() {
            return None;
        }
        let (prepared, shape) = (network.prepare(index, params), layer.link.output());
        let mut activations = vec![0.0; examples * shape.count()];
        let targets: Vec<_> = activations.chunks_mut(at_once * shape.count()).collect();
        batches = batches
            .into_par_iter()
            .zip(targets)
            .map(|((examples, batch), target)| {
                let mut output = Matrix::default();
                prepared.forward(&batch, examples, &mut output, &mut Spare::default());
                shape.unload(&output, target);
                (examples, output)
            })
            .collect();
        likenesses.push(Likeness::of(&activations, examples));
    }
    Some(likenesses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;
    use crate::nn::zoo::{Arch, Fcn};

    fn noise(count: usize, label: &str) -> Vec<f32> {
        let mut stream = rng::stream(0, &["similarity", label]);
        (0..count).map(|_| stream.normal() as f32).collect()
    }

    #[test]
    fn a_rotation_a_scaling_and_a_shift_change_nothing() {
        let (examples, x) = (30, noise(30 * 2, "x"));
        let turned: Vec<f32> = x.chunks_exact(2).flat_map(|p| [5.0 - 3.0 * p[1], 3.0 * p[0] + 1.0]).collect();
        let of = |values: &[f32]| Likeness::of(values, examples);
        assert!((of(&x).cka(&of(&turned)) - 1.0).abs() < 1e-6);
        let other = of(&x).cka(&of(&noise(30 * 2, "y")));
        assert!((0.0..0.3).contains(&other), "independent activations: {other}");
        assert!(of(&x).cka(&of(&[1.0; 60])).is_nan());
    }

    /// One column each, (1, −1, 0, 0) and (1, 0, −1, 0): a product of 1 and norms of 2. And two columns beside one.
    #[test]
    fn closed_forms() {
        let of = |values: &[f32]| Likeness::of(values, 4);
        let one = of(&[1.0, -1.0, 0.0, 0.0]).cka(&of(&[1.0, 0.0, -1.0, 0.0]));
        assert!((one - 0.25).abs() < 1e-12, "{one}");
        // Columns (1, −1, 0, 0) and (0, 0, 1, −1) have twice the identity, of norm √8; their products with (1, 0, 0, −1) are (1, 1).
        let two = of(&[1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0]).cka(&of(&[1.0, 0.0, 0.0, -1.0]));
        assert!((two - 2.0 / (8.0_f64.sqrt() * 2.0)).abs() < 1e-12, "{two}");
    }

    #[test]
    fn behind_the_last_layer_are_the_logits() {
        let network = Arch::Fcn(Fcn { depth: 2, width: 7 }).network([1, 3, 3], 4);
        let (params, rows) = (network.init(1), noise(20 * 9, "rows"));
        let all = likenesses(&network, &params, &rows, 20, &|| true).unwrap();
        assert_eq!(all.len(), 3);
        let mut learner = crate::nn::learner::Learner::new(&network, &params);
        learner.differentiate(&rows, &[0; 20]);
        let logits = Likeness::of(&learner.logits(), 20);
        assert!(all[2].0.iter().zip(&logits.0).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!(likenesses(&network, &params, &rows, 20, &|| false).is_none());
    }
}
