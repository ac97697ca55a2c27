//! The kernels against candle and `PyTorch`, and against themselves on other threads and instruction sets.

use layerwise::base::rng;
use layerwise::nn::autograd;
use layerwise::nn::kernels::Path;
use layerwise::nn::learner::Learner;
use layerwise::nn::network::Network;
use layerwise::nn::optimizer::{Optimizer, Sgd, Update};
use layerwise::nn::params::Params;
use layerwise::nn::zoo::{Arch, Fcn};

fn fcn(depth: usize, width: usize, shape: [usize; 3], classes: usize) -> Network {
    Arch::Fcn(Fcn { depth, width }).network(shape, classes)
}

fn batch(features: usize, classes: usize, rows: usize) -> (Vec<f32>, Vec<u8>) {
    let mut stream = rng::stream(0, &["batch"]);
    let input = (0..rows * features).map(|_| stream.normal() as f32).collect();
    let labels = (0..rows).map(|_| stream.below(classes as u64) as u8).collect();
    (input, labels)
}

fn update() -> Update {
    Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-3 }).update(0.1)
}

/// Largest difference, relative to the largest magnitude.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let difference =
        ours.iter().zip(theirs).fold(0.0_f32, |difference, (a, b)| difference.max((a - b).abs()));
    difference / largest
}

fn assert_close(ours: &Params, theirs: &Params, tolerance: f32, what: &str) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        let difference = difference(&ours.values, &theirs.values);
        assert!(difference <= tolerance, "{what}: {} differs by {difference}", ours.name);
    }
}

#[test]
fn kernels_agree_with_candle() {
    for (depth, width, rows, classes) in [(1, 5, 1, 2), (3, 33, 7, 10), (2, 64, 65, 100), (3, 130, 128, 10)] {
        for path in Path::available() {
            let network = fcn(depth, width, [1, 7, 11], classes).on(path);
            let params = network.init(3);
            let (input, labels) = batch(network.features(), classes, rows);
            let theirs = autograd::differentiate(&network, &params, &input, &labels).unwrap();
            let mut learner = Learner::new(&network, &params);
            let score = learner.differentiate(&input, &labels);
            let what = format!("fcn{depth}x{width}, {rows} rows, {path:?}");
            assert!(difference(&learner.logits(), &theirs.logits) < 1e-5, "{what}");
            assert!((score.mean_loss() - f64::from(theirs.loss)).abs() < 1e-5, "{what}");
            assert_close(&learner.gradients(), &theirs.gradients, 1e-5, &what);
            assert_eq!(learner.params(), params, "{what}");
        }
    }
}

#[test]
fn evaluation_gives_the_bits_of_training() {
    for path in Path::available() {
        let network = fcn(3, 70, [1, 5, 5], 10).on(path);
        let params = network.init(3);
        let (input, labels) = batch(25, 10, 67);
        let mut learner = Learner::new(&network, &params);
        learner.differentiate(&input, &labels);
        let mut rows = input;
        for layer in 0..network.layers().len() {
            let mut output = Vec::new();
            network.forward(layer, &network.prepare(layer, &params), &rows, 67, &mut output);
            rows = output;
        }
        assert_eq!(rows, learner.logits(), "{path:?}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for path in Path::available() {
        let network = fcn(3, 200, [1, 20, 20], 10).on(path);
        let train = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut learner = Learner::new(&network, &network.init(0));
                for rows in [128, 128, 96] {
                    let (input, labels) = batch(400, 10, rows);
                    learner.step(&input, &labels, &update());
                }
                (learner.params(), learner.momenta(), learner.logits())
            })
        };
        let alone = train(1);
        assert_eq!(train(2), alone, "{path:?}");
        assert_eq!(train(3), alone, "{path:?}");
    }
}
