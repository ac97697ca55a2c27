//! The networks of torchvision and timm are ours: weights in their names give their logits and gradients.
//!
//! Weights and examples are formulas; `data/make_import.py` wrote what the libraries compute with them.

use std::collections::BTreeMap;

use layerwise::nn::import::{self, Names};
use layerwise::nn::kernels::Matrix;
use layerwise::nn::learner::Learner;
use layerwise::nn::links::Spare;
use layerwise::nn::network::Network;
use layerwise::nn::params::{Parameter, Params};
use layerwise::nn::tensors;
use layerwise::nn::zoo::Arch;
use safetensors::tensor::Dtype;

use crate::import::{safetensors_file, stored};

/// A network that a library has.
struct Case {
    /// Its name in the file.
    name: &'static str,
    arch: &'static str,
    names: Names,
    /// Examples, then their shape.
    batch: [usize; 4],
    /// What is added to the biases of norms in the training step, if there is one.
    shift: Option<f32>,
}

const CASES: [Case; 7] = [
    Case {
        name: "resnet18",
        arch: r#"{"resnet_v1": {"depth": 18}}"#,
        names: Names::Torchvision,
        batch: [8, 3, 64, 72],
        shift: Some(2.0),
    },
    Case {
        name: "resnet18-cifar",
        arch: r#"{"resnet_v1": {"depth": 18, "stem": "cifar"}}"#,
        names: Names::Torchvision,
        batch: [8, 3, 16, 16],
        shift: Some(2.0),
    },
    Case {
        name: "resnet50",
        arch: r#"{"resnet_v1": {"depth": 50}}"#,
        names: Names::Timm,
        batch: [16, 3, 32, 32],
        shift: Some(0.6),
    },
    Case {
        name: "vgg11",
        arch: r#"{"vgg": {"depth": 11, "width": 8, "head": 24}}"#,
        names: Names::Torchvision,
        batch: [2, 3, 224, 224],
        shift: Some(0.0),
    },
    Case {
        name: "vgg11-bn",
        arch: r#"{"vgg": {"depth": 11, "width": 8, "head": 24, "bn": true}}"#,
        names: Names::Torchvision,
        batch: [2, 3, 224, 224],
        shift: None,
    },
    Case {
        name: "vit",
        arch: r#"{"vit": {"depth": 2, "width": 48, "heads": 3, "patch": 8}}"#,
        names: Names::Timm,
        batch: [8, 3, 32, 32],
        shift: Some(0.0),
    },
    Case {
        name: "mixer",
        arch: r#"{"mixer": {"depth": 2, "width": 48, "tokens": 24, "channels": 192, "patch": 8}}"#,
        names: Names::Timm,
        batch: [8, 3, 32, 32],
        shift: None,
    },
];

const TOLERANCE: f64 = 1e-4;

/// Name → shape of each tensor of a library's network.
type Shapes = BTreeMap<String, Vec<usize>>;

/// What the libraries computed.
struct Theirs(BTreeMap<String, Vec<f32>>);

impl Theirs {
    fn read() -> Self {
        let tensors = tensors::from_bytes(include_bytes!("data/import.safetensors")).expect("it is whole");
        Self(tensors.into_iter().map(|tensor| (tensor.name, tensor.values)).collect())
    }

    fn values(&self, case: &Case, what: &str) -> &[f32] {
        &self.0[&format!("{}/{what}", case.name)]
    }

    fn shapes(&self, case: &Case) -> Shapes {
        let prefix = format!("{}/shape/", case.name);
        let shape = |(name, values): (&String, &Vec<f32>)| {
            let shape = values.iter().map(|value| *value as usize).collect();
            Some((name.strip_prefix(&prefix)?.to_owned(), shape))
        };
        self.0.iter().filter_map(shape).collect()
    }
}

/// In [−1, 1): the value at an index of the tensor with this number.
fn uniform(tensor: usize, index: usize) -> f32 {
    let mut bits = (index + (tensor << 24)) as u32;
    for factor in [2_654_435_761, 2_246_822_519] {
        bits = bits.wrapping_mul(factor);
        bits ^= bits >> 15;
    }
    (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// The tensors of a library's network by formula, each from the rank of its name; not the counters.
fn weights(shapes: &Shapes, shift: f32) -> Vec<Parameter> {
    let tensor = |(number, (name, shape)): (usize, (&String, &Vec<usize>))| {
        let (module, kind) = name.rsplit_once('.').unwrap_or(("", name));
        let of_norm = shapes.get(&format!("{module}.weight")).is_some_and(|weight| weight.len() == 1);
        let (middle, scale) = match (kind, shape.as_slice()) {
            (_, [_, inputs @ ..]) if !inputs.is_empty() => {
                (0.0, (3.0 / inputs.iter().product::<usize>() as f64).sqrt() as f32)
            }
            ("bias", _) if of_norm => (shift, 0.125),
            ("weight" | "running_var", _) if of_norm => (1.0, 0.125),
            _ => (0.0, 0.125),
        };
        let values = (0..shape.iter().product()).map(|index| uniform(number, index) * scale + middle);
        Parameter { name: name.clone(), shape: shape.clone(), values: values.collect() }
    };
    shapes.iter().filter(|(_, shape)| !shape.is_empty()).enumerate().map(tensor).collect()
}

/// A file as the library would write it, with the counters.
fn file(shapes: &Shapes, weights: &[Parameter]) -> Vec<u8> {
    let counters = shapes.iter().filter(|(_, shape)| shape.is_empty());
    let counters = counters.map(|(name, shape)| (name.clone(), Dtype::I64, shape.clone(), vec![0; 8]));
    safetensors_file(&weights.iter().map(stored).chain(counters).collect::<Vec<_>>())
}

/// Logits of a batch.
pub(crate) fn evaluate(network: &Network, params: &Params, input: &[f32], examples: usize) -> Vec<f32> {
    let (mut batch, mut output, mut spare) = (network.input().batch(), Matrix::default(), Spare::default());
    network.input().load(input, &mut batch);
    for layer in 0..network.layers().len() {
        network.prepare(layer, params).forward(&batch, examples, &mut output, &mut spare);
        std::mem::swap(&mut batch, &mut output);
    }
    batch.to_rows()
}

/// Largest difference, relative to the largest magnitude.
fn difference(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(f32::MIN_POSITIVE, |scale, value| scale.max(value.abs()));
    let pairs = ours.iter().zip(theirs);
    pairs.fold(0.0, |far, (a, b)| f64::from((a - b).abs() / scale).max(far))
}

/// How far the sum, the norm and 16 values at equal distances are from theirs.
fn far(ours: &[f32], [sum, norm, strided @ ..]: &[f32; 18]) -> f64 {
    let wide = || ours.iter().map(|value| f64::from(*value));
    let relative = |ours: f64, theirs: f32, scale: f64| (ours - f64::from(theirs)).abs() / scale;
    let picked: Vec<_> = (0..16).map(|index| ours[index * ours.len() / 16]).collect();
    let of_norm = relative(wide().map(|value| value * value).sum::<f64>().sqrt(), *norm, f64::from(*norm));
    let of_sum = relative(wide().sum(), *sum, wide().map(f64::abs).sum());
    of_norm.max(of_sum).max(difference(&picked, strided))
}

fn agrees(case: &Case) {
    let (theirs, arch) = (Theirs::read(), serde_json::from_str::<Arch>(case.arch).unwrap());
    let ([examples, shape @ ..], shapes) = (case.batch, theirs.shapes(case));
    let (network, prefixes) = (arch.network(shape, 10), arch.prefixes(case.names).unwrap());
    let params = |shift| {
        import::params(&network, &prefixes, &file(&shapes, &weights(&shapes, shift))).expect("it fits")
    };
    let input: Vec<f32> = (0..case.batch.iter().product()).map(|index| uniform(255, index)).collect();
    let logits = evaluate(&network, &params(0.0), &input, examples);
    let apart = difference(&logits, theirs.values(case, "logits"));
    assert!(apart < TOLERANCE, "{}: logits differ by {apart}", case.name);
    let Some(shift) = case.shift else { return };
    let mut learner = Learner::new(&network, &params(shift));
    let labels: Vec<u16> = (0..examples).map(|example| (example % 10) as u16).collect();
    learner.differentiate(&input, &labels);
    let apart = difference(&learner.logits(), theirs.values(case, "step/logits"));
    assert!(apart < TOLERANCE, "{}: logits in training differ by {apart}", case.name);
    for Parameter { name, values, .. } in &learner.gradients() {
        if name.contains("running") {
            continue;
        }
        let digest = theirs.values(case, &format!("step/{}", import::theirs(name, &prefixes)));
        let apart = far(values, digest.try_into().expect("18 numbers"));
        assert!(apart < TOLERANCE, "{}: the gradient of '{name}' differs by {apart}", case.name);
    }
}

#[test]
fn residual_networks_of_torchvision() {
    agrees(&CASES[0]);
    agrees(&CASES[1]);
}

#[test]
fn bottlenecks_of_torchvision() {
    agrees(&CASES[2]);
}

#[test]
fn vgg_of_torchvision() {
    agrees(&CASES[3]);
    agrees(&CASES[4]);
}

#[test]
fn transformers_and_mixers_of_timm() {
    agrees(&CASES[5]);
    agrees(&CASES[6]);
}
