//! Networks on images against `PyTorch`, and against themselves on other threads and instruction sets.
//!
//! Initial values and examples are formulas; `data/make_models.py` wrote what `PyTorch` makes of them in float64, so that what differs is
//! our rounding alone.

use layerwise::nn::kernels::{Matrix, Path};
use layerwise::nn::learner::Learner;
use layerwise::nn::links::Spare;
use layerwise::nn::network::Network;
use layerwise::nn::optimizer::{Optimizer, Sgd, Update};
use layerwise::nn::params::{Parameter, Params};
use layerwise::nn::tensors;
use layerwise::nn::zoo::Arch;

/// A model as both sides train it.
struct Case {
    /// Its name, here and in the file.
    name: &'static str,
    arch: &'static str,
    /// Of the batch.
    examples: usize,
    /// Height and width of an example.
    size: usize,
    lr: f64,
    /// What is added to the biases of norms.
    shift: f32,
    /// How far we may be from `PyTorch`: logits, gradients, losses, values after 50 steps.
    bounds: [f64; 4],
    /// How far the paths may be from each other, after one step.
    between_paths: f64,
}

/// What holds unless roundings are amplified.
const CLOSE: [f64; 4] = [1e-5, 1e-4, 1e-4, 1e-4];

const CASES: [Case; 9] = [
    Case {
        name: "vgg11",
        arch: r#"{"vgg": {"depth": 11, "head": 64}}"#,
        examples: 8,
        size: 32,
        lr: 5e-5,
        shift: 0.0,
        bounds: CLOSE,
        between_paths: 1e-5,
    },
    Case {
        name: "resnet18",
        arch: r#"{"resnet": {"depth": 18}}"#,
        examples: 8,
        size: 8,
        lr: 5e-4,
        shift: 0.0,
        bounds: CLOSE,
        between_paths: 1e-5,
    },
    Case {
        name: "resnet18-bn",
        arch: r#"{"resnet": {"depth": 18, "bn": true}}"#,
        examples: 8,
        size: 12,
        lr: 1e-5,
        shift: 1.0,
        bounds: CLOSE,
        between_paths: 1e-5,
    },
    // Millions of ReLUs: with the norms' biases around 0, rounding tips some over in the very first step, and PyTorch's own float32 gradients are
    // 3e-2 from its float64. Around 2, it may still tip one, whose norm then has another gradient.
    Case {
        name: "resnet50-bn",
        arch: r#"{"resnet": {"depth": 50, "bn": true}}"#,
        examples: 16,
        size: 16,
        lr: 1e-4,
        shift: 2.0,
        bounds: [1e-5, 1e-2, 1e-4, 1e-3],
        between_paths: 1e-1,
    },
    Case {
        name: "vit3x96",
        arch: r#"{"vit": {"depth": 3, "width": 96, "heads": 3, "mlp": 2}}"#,
        examples: 8,
        size: 16,
        lr: 5e-3,
        shift: 0.0,
        bounds: CLOSE,
        between_paths: 1e-5,
    },
    Case {
        name: "vgg11-bn",
        arch: r#"{"vgg": {"depth": 11, "head": 64, "bn": true}}"#,
        examples: 8,
        size: 32,
        lr: 5e-5,
        shift: 0.0,
        bounds: CLOSE,
        between_paths: 1e-4,
    },
    Case {
        name: "mixer3x48",
        arch: r#"{"mixer": {"depth": 3, "width": 48, "tokens": 40, "channels": 100, "patch": 4}}"#,
        examples: 8,
        size: 16,
        lr: 5e-3,
        shift: 0.0,
        bounds: CLOSE,
        between_paths: 1e-4,
    },
    Case {
        name: "resnet-42",
        arch: r#"{"identity_resnet": {"stages": 2, "blocks": 4}}"#,
        examples: 8,
        size: 16,
        lr: 5e-5,
        shift: 0.0,
        bounds: CLOSE,
        between_paths: 1e-5,
    },
    Case {
        name: "resnet-44x16-bn",
        arch: r#"{"identity_resnet": {"stages": 4, "blocks": 4, "width": 16, "bn": true}}"#,
        examples: 8,
        size: 16,
        lr: 1e-5,
        shift: 1.0,
        bounds: CLOSE,
        between_paths: 1e-5,
    },
];

impl Case {
    fn network(&self) -> Network {
        let arch: Arch = serde_json::from_str(self.arch).unwrap();
        assert!(arch.name() == self.name && arch.problem().is_none());
        arch.network([3, self.size, self.size], 10)
    }

    fn input(&self) -> Vec<f32> {
        (0..self.examples * 3 * self.size * self.size).map(|index| uniform(255, index)).collect()
    }

    fn labels(&self) -> Vec<u16> {
        (0..self.examples).map(|example| (example % 10) as u16).collect()
    }

    fn update(&self) -> Update {
        Optimizer::Sgd(Sgd { lr: self.lr, momentum: 0.9, weight_decay: 1e-3 }).update(self.lr)
    }
}

/// In [−1, 1): the value at an index of the tensor with this number.
pub(crate) fn uniform(tensor: usize, index: usize) -> f32 {
    let mut bits = (index + (tensor << 24)) as u32;
    for factor in [2_654_435_761, 2_246_822_519] {
        bits = bits.wrapping_mul(factor);
        bits ^= bits >> 15;
    }
    (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// Values of all tensors, by their numbers from `first` on; `shift` is added to the biases of norms.
pub(crate) fn initial(network: &Network, shift: f32, first: usize) -> Params {
    let parameter = |(number, (name, tensor)): (usize, (String, layerwise::nn::links::TensorSpec))| {
        let count: usize = tensor.shape.iter().product();
        let of_norm = name.contains("norm");
        let middle = match name.rsplit('.').next() {
            Some("bias") if of_norm => shift,
            Some("weight") if of_norm => 1.0,
            Some("running_var") => 1.0,
            _ => 0.0,
        };
        let scale = match tensor.shape.as_slice() {
            [_] => 0.125,
            [_, inputs @ ..] => (3.0 / inputs.iter().product::<usize>() as f64).sqrt() as f32,
            [] => unreachable!("a tensor has a shape"),
        };
        let value = |index| uniform(first + number, index) * scale + middle;
        Parameter { values: (0..count).map(value).collect(), name, shape: tensor.shape }
    };
    Params(network.tensors().enumerate().map(parameter).collect())
}

/// The logits of some examples.
fn evaluate(network: &Network, params: &Params, input: &[f32]) -> Vec<f32> {
    let (mut batch, mut output, mut spare) = (Matrix::default(), Matrix::default(), Spare::default());
    network.input().load(input, &mut batch);
    for layer in 0..network.layers().len() {
        let examples = input.len() / network.features();
        network.prepare(layer, params).forward(&batch, examples, &mut output, &mut spare);
        std::mem::swap(&mut batch, &mut output);
    }
    batch.to_rows()
}

/// How far two numbers are from each other, relative to a magnitude.
fn relative(ours: f64, theirs: f64, magnitude: f64) -> f64 {
    (ours - theirs).abs() / magnitude.max(f64::MIN_POSITIVE)
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |largest, value| f64::from(value.abs()).max(largest))
}

/// What counts as no more than rounding, beside the largest tensor of a network: the gradient at a bias behind which a norm follows is zero.
const ROUNDING: f64 = 1e-2;

/// Largest difference, relative to the largest magnitude, which is `least` at least.
pub(crate) fn difference(ours: &[f32], theirs: &[f32], least: f64) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let scale = largest(theirs).max(least);
    let pairs = ours.iter().zip(theirs);
    pairs.fold(0.0, |far, (a, b)| relative(f64::from(*a), f64::from(*b), scale).max(far))
}

/// What `PyTorch` computed for one model.
struct PyTorch(Vec<Parameter>, &'static str);

impl PyTorch {
    fn read(name: &'static str) -> Self {
        Self(tensors::from_bytes(include_bytes!("data/models.safetensors")).expect("it is whole"), name)
    }

    fn values(&self, what: &str) -> &[f32] {
        let name = format!("{}.{what}", self.1);
        &self.0.iter().find(|tensor| tensor.name == name).expect("the script writes it").values
    }

    /// Checks the sum, the norm and the 16 values that the file has of each tensor.
    fn check<'a>(&self, what: &str, ours: impl Iterator<Item = &'a Parameter>, tolerance: f64) {
        let (rows, rest) = self.values(what).as_chunks::<18>();
        let ours: Vec<_> = ours.collect();
        assert!(rest.is_empty() && rows.len() == ours.len(), "{} tensors, {} rows", ours.len(), rows.len());
        let least = ROUNDING * rows.iter().map(|row| f64::from(row[1])).fold(0.0, f64::max);
        let far = |tensor: &Parameter, [sum, norm, strided @ ..]: &[f32; 18]| {
            let values = || tensor.values.iter().map(|value| f64::from(*value));
            let theirs = f64::from(*norm);
            let magnitude = values().map(f64::abs).sum::<f64>().max(least);
            let of_sum = relative(values().sum(), f64::from(*sum), magnitude);
            let of_norm =
                relative(values().map(|value| value * value).sum::<f64>().sqrt(), theirs, theirs.max(least));
            let count = tensor.values.len();
            let picked: Vec<_> = (0..16).map(|index| tensor.values[index * count / 16]).collect();
            let scale = largest(&tensor.values).max(least);
            let pairs = picked.iter().zip(strided);
            pairs.fold(of_sum.max(of_norm), |far, (a, b)| {
                relative(f64::from(*a), f64::from(*b), scale).max(far)
            })
        };
        let far = ours.iter().zip(rows).map(|(tensor, row)| (far(tensor, row), &tensor.name));
        let (far, name) = far.max_by(|a, b| a.0.total_cmp(&b.0)).expect("a network has tensors");
        assert!(far < tolerance, "{}: {what} of '{name}' differs by {far}", self.1);
    }
}

/// Logits and gradients of a first step; the losses of 50 steps, and the parameters after them.
fn agrees_with_pytorch(case: &Case) {
    let [of_logits, of_gradients, of_losses, of_values] = case.bounds;
    let (theirs, network) = (PyTorch::read(case.name), case.network());
    let (input, labels, update) = (case.input(), case.labels(), case.update());
    let mut learner = Learner::new(&network, &initial(&network, case.shift, 0));
    let mut losses = vec![learner.step(&input, &labels, &update).mean_loss() as f32];
    let far = difference(&learner.logits(), theirs.values("logits"), 0.0);
    assert!(far < of_logits, "{}: logits differ by {far}", case.name);
    let gradients = learner.gradients();
    theirs.check(
        "gradients",
        gradients.iter().filter(|tensor| !tensor.name.contains("running")),
        of_gradients,
    );
    losses.extend((1..50).map(|_| learner.step(&input, &labels, &update).mean_loss() as f32));
    let pairs = losses.iter().zip(theirs.values("losses"));
    let far = pairs.map(|(a, b)| relative(f64::from(*a), f64::from(*b), f64::from(*b))).fold(0.0, f64::max);
    assert!(far < of_losses, "{}: a loss differs by {far}: {losses:?}", case.name);
    theirs.check("after50", learner.params().iter(), of_values);
}

#[test]
fn vgg_agrees_with_pytorch() {
    agrees_with_pytorch(&CASES[0]);
    agrees_with_pytorch(&CASES[5]);
}

#[test]
fn residual_networks_agree_with_pytorch() {
    agrees_with_pytorch(&CASES[1]);
    agrees_with_pytorch(&CASES[2]);
}

#[test]
fn residual_networks_of_identity_skips_agree_with_pytorch() {
    agrees_with_pytorch(&CASES[7]);
    agrees_with_pytorch(&CASES[8]);
}

#[test]
fn bottlenecks_agree_with_pytorch() {
    agrees_with_pytorch(&CASES[3]);
}

#[test]
fn vision_transformers_agree_with_pytorch() {
    agrees_with_pytorch(&CASES[4]);
}

#[test]
fn mixers_agree_with_pytorch() {
    agrees_with_pytorch(&CASES[6]);
}

/// Evaluation has larger tiles than training, and so other roundings. (Norms, here of the batch, are another function there.)
#[test]
fn evaluation_agrees_with_pytorch() {
    for case in CASES.iter().filter(|case| !case.name.ends_with("-bn")) {
        let (theirs, [of_logits, ..]) = (PyTorch::read(case.name), case.bounds);
        for path in Path::available() {
            let network = case.network().on(path);
            let logits = evaluate(&network, &initial(&network, case.shift, 0), &case.input());
            let far = difference(&logits, theirs.values("logits"), 0.0);
            assert!(far < of_logits, "{}, {}: logits differ by {far}", case.name, path.name());
        }
    }
}

/// A step on each path, relative to the largest magnitude of each tensor. Fifty-odd norms of a few positions amplify the rounding of
/// sums without fused multiplications.
#[test]
fn instruction_sets_agree() {
    for case in &CASES {
        let bound = case.between_paths;
        let step = |path| {
            let network = case.network().on(path);
            let mut learner = Learner::new(&network, &initial(&network, case.shift, 0));
            learner.step(&case.input(), &case.labels(), &case.update());
            (learner.logits(), learner.gradients(), learner.params())
        };
        let (logits, gradients, params) = step(Path::detect());
        for path in Path::available().into_iter().skip(1) {
            let others = step(path);
            let far = difference(&others.0, &logits, 0.0);
            assert!(far < bound, "{}, {}: logits differ by {far}", case.name, path.name());
            for (what, ours, others) in [("gradient", &gradients, others.1), ("value", &params, others.2)] {
                let least = ROUNDING * ours.iter().map(|tensor| largest(&tensor.values)).fold(0.0, f64::max);
                let far = |(a, b): (&'_ Parameter, &Parameter)| difference(&b.values, &a.values, least);
                let far = ours.iter().zip(&others).map(|pair| (far(pair), &pair.0.name));
                let (far, name) = far.max_by(|a, b| a.0.total_cmp(&b.0)).expect("a network has tensors");
                assert!(
                    far < bound,
                    "{}, {}: the {what} of '{name}' differs by {far}",
                    case.name,
                    path.name()
                );
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit_of_a_model() {
    for case in &CASES {
        let network = case.network();
        let train = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut learner = Learner::new(&network, &initial(&network, case.shift, 0));
                (0..3).for_each(|_| {
                    learner.step(&case.input(), &case.labels(), &case.update());
                });
                (learner.params(), learner.momenta(), learner.logits())
            })
        };
        assert!(train(1) == train(2), "{}", case.name);
    }
}
