//! The kernels against candle and `PyTorch`, and against themselves on other threads and instruction sets.

use layerwise::base::rng;
use layerwise::nn::autograd;
use layerwise::nn::kernels::{Matrix, Path};
use layerwise::nn::learner::Learner;
use layerwise::nn::links::Spare;
use layerwise::nn::network::Network;
use layerwise::nn::optimizer::{Optimizer, Sgd, Update};
use layerwise::nn::params::{Parameter, Params};
use layerwise::nn::tensors;
use layerwise::nn::zoo::{Arch, Fcn};

fn fcn(depth: usize, width: usize, shape: [usize; 3], classes: usize) -> Network {
    Arch::Fcn(Fcn { depth, width }).network(shape, classes)
}

fn batch(features: usize, classes: usize, rows: usize) -> (Vec<f32>, Vec<u16>) {
    let mut stream = rng::stream(0, &["batch"]);
    let input = (0..rows * features).map(|_| stream.normal() as f32).collect();
    let labels = (0..rows).map(|_| stream.below(classes as u64) as u16).collect();
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
    if largest == 0.0 { difference } else { difference / largest }
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
            agrees_with_candle(&network, &params, classes, rows, 1e-5);
        }
    }
}

fn agrees_with_candle(network: &Network, params: &Params, classes: usize, rows: usize, tolerance: f32) {
    let (input, labels) = batch(network.features(), classes, rows);
    let theirs = autograd::differentiate(network, params, &input, &labels).unwrap();
    let mut learner = Learner::new(network, params);
    let score = learner.differentiate(&input, &labels);
    let what = format!("{} layers, {rows} rows, {:?}", network.layers().len(), network.path());
    assert!(difference(&learner.logits(), &theirs.logits) < tolerance, "{what}");
    assert!((score.mean_loss() - f64::from(theirs.loss)).abs() < 1e-5, "{what}");
    assert_close(&learner.gradients(), &theirs.gradients, tolerance, &what);
}

/// Whole models on maps that are small enough for candle, with values that leave no tensor without a say. Not a deep one with batch
/// norms: rounding tips some `ReLU`s, and gradients of two exact programs differ by a hundredth.
#[test]
fn models_agree_with_candle() {
    for (arch, shape, rows, tolerance) in [
        (r#"{"vgg": {"depth": 11, "head": 24}}"#, [3, 32, 32], 3, 1e-5),
        (r#"{"vgg": {"depth": 11, "width": 8, "head": 24}}"#, [3, 70, 70], 3, 1e-5),
        (r#"{"resnet": {"depth": 18}}"#, [3, 8, 8], 4, 1e-4),
        (r#"{"resnet": {"depth": 18, "bn": true}}"#, [1, 9, 9], 5, 1e-3),
        (r#"{"resnet": {"depth": 50}}"#, [3, 8, 8], 2, 1e-4),
        (r#"{"resnet_v1": {"depth": 18, "width": 16}}"#, [3, 36, 36], 4, 1e-3),
        (r#"{"resnet_v1": {"depth": 18, "stem": "cifar", "width": 16}}"#, [1, 9, 9], 5, 1e-3),
        (r#"{"vit": {"depth": 2, "width": 24, "heads": 3, "patch": 2}}"#, [3, 6, 8], 5, 1e-5),
        (r#"{"vit": {"depth": 1, "width": 130, "heads": 1, "patch": 1, "mlp": 1}}"#, [1, 9, 8], 2, 1e-5),
        (r#"{"vit": {"depth": 3, "width": 96, "heads": 2, "patch": 8, "mlp": 2}}"#, [3, 16, 16], 7, 1e-5),
    ] {
        let arch: Arch = serde_json::from_str(arch).unwrap();
        let network = arch.network(shape, 10);
        let mut params = network.init(3);
        let mut stream = rng::stream(0, &["shake"]);
        params.0.iter_mut().flat_map(|parameter| &mut parameter.values).for_each(|value| {
            *value += 0.01 * stream.normal() as f32;
        });
        agrees_with_candle(&network, &params, 10, rows, tolerance);
    }
}

/// Of networks without convolutions: `models.rs` says how near the others are.
#[test]
fn evaluation_gives_the_bits_of_training() {
    let vit: Arch =
        serde_json::from_str(r#"{"vit": {"depth": 2, "width": 70, "heads": 2, "patch": 1}}"#).unwrap();
    for path in Path::available() {
        for network in [fcn(3, 70, [1, 5, 5], 10), vit.network([1, 5, 5], 10)] {
            let network = network.on(path);
            let params = network.init(3);
            let (input, labels) = batch(25, 10, 67);
            let mut learner = Learner::new(&network, &params);
            learner.differentiate(&input, &labels);
            let mut batch = Matrix::default();
            network.input().load(&input, &mut batch);
            for layer in 0..network.layers().len() {
                let mut output = Matrix::default();
                network.prepare(layer, &params).forward(&batch, 67, &mut output, &mut Spare::default());
                batch = output;
            }
            assert_eq!(batch.to_rows(), learner.logits(), "{path:?}");
        }
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

/// What `data/make_pytorch.py` wrote.
struct PyTorch(Vec<Parameter>);

impl PyTorch {
    const ROWS: usize = 128;

    fn read() -> Self {
        Self(tensors::from_bytes(include_bytes!("data/pytorch.safetensors")).expect("it is whole"))
    }

    fn tensor(&self, name: &str) -> &Parameter {
        self.0.iter().find(|tensor| tensor.name == name).expect("the script writes it")
    }

    fn params(&self, network: &Network, prefix: &str) -> Params {
        let parameter = |name: String| Parameter {
            name: name.clone(),
            ..self.tensor(&format!("{prefix}.{name}")).clone()
        };
        Params(network.tensors().map(|(name, _)| parameter(name)).collect())
    }

    fn scramble(index: usize) -> u32 {
        (index as u32).wrapping_mul(2_654_435_761)
    }

    fn input() -> Vec<f32> {
        (0..Self::ROWS * 784).map(|index| (Self::scramble(index) >> 24) as f32 / 128.0 - 1.0).collect()
    }

    fn labels() -> Vec<u16> {
        (0..Self::ROWS).map(|index| ((Self::scramble(index) >> 16) % 10) as u16).collect()
    }
}

/// Initial parameters written by Python, then logits, loss, gradients, and 50 steps of SGD with momentum and decay.
#[test]
fn training_agrees_with_pytorch() {
    let theirs = PyTorch::read();
    let (input, labels) = (PyTorch::input(), PyTorch::labels());
    let update = Optimizer::Sgd(Sgd { lr: 0.05, momentum: 0.9, weight_decay: 1e-3 }).update(0.05);
    for path in Path::available() {
        let network = fcn(3, 32, [1, 28, 28], 10).on(path);
        let mut learner = Learner::new(&network, &theirs.params(&network, "initial"));
        let score = learner.step(&input, &labels, &update);
        assert!(difference(&learner.logits(), &theirs.tensor("logits").values) < 1e-5, "{path:?}");
        let loss = f64::from(theirs.tensor("loss").values[0]);
        assert!((score.mean_loss() / loss - 1.0).abs() < 1e-6, "{path:?}");
        assert_close(&learner.gradients(), &theirs.params(&network, "gradient"), 1e-5, path.name());
        assert_close(&learner.params(), &theirs.params(&network, "after1"), 1e-6, path.name());
        for _ in 1..50 {
            learner.step(&input, &labels, &update);
        }
        assert_close(&learner.params(), &theirs.params(&network, "after50"), 1e-4, path.name());
        let final_loss = f64::from(theirs.tensor("final_loss").values[0]);
        let score = learner.differentiate(&input, &labels);
        assert!((score.mean_loss() / final_loss - 1.0).abs() < 1e-4, "{path:?}");
    }
}
