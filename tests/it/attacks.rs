//! Attacks against `PyTorch`, and as stages.
//!
//! `data/make_attacks.py` wrote the gradients at the input and the attacked images, in float64. Where a gradient is nearly zero, rounding
//! may turn its sign: a few pixels may be others.

use std::convert::Infallible;

use layerwise::data::bytes::Bytes;
use layerwise::data::{Examples, catalogue};
use layerwise::nn::attack::Limits;
use layerwise::nn::attack::target::{Swap, Target};
use layerwise::nn::network::Network;
use layerwise::nn::tensors;
use layerwise::nn::zoo::Arch;

use crate::models::{difference, initial, uniform};
use crate::space::Space;

const EXAMPLES: usize = 4;
const LABELS: [u16; EXAMPLES] = [0, 1, 2, 3];
const SHAPE: [usize; 3] = [3, 16, 16];
const LIMITS: Limits = Limits { radius: 8.0, steps: 5, step_size: 2.0 };
/// The block of which every second example has other weights, and the number of their first tensor.
const SWAPPED: (&str, usize) = ("stage2.resblk3", 100);

fn network(name: &str) -> Network {
    let bn = name.ends_with("-bn");
    let arch = format!(r#"{{"identity_resnet": {{"stages": 2, "blocks": 4, "width": 8, "bn": {bn}}}}}"#);
    let arch: Arch = serde_json::from_str(&arch).unwrap();
    assert_eq!(arch.name(), name);
    arch.network(SHAPE, 10)
}

fn examples() -> Examples {
    let mut dataset = catalogue::find("cifar10").unwrap().clone();
    (dataset.shape, dataset.mean, dataset.std) = (SHAPE, vec![0.5, 0.45, 0.4], vec![0.25, 0.2, 0.3]);
    let count = EXAMPLES * SHAPE.iter().product::<usize>();
    let pixels = (0..count).map(|index| ((uniform(255, index) + 1.0) * 128.0) as u8).collect();
    Examples::new(&dataset, Bytes::Held(pixels), LABELS.to_vec())
}

/// How many pixels of two batches of images differ by more than rounding.
fn others(ours: &[f32], theirs: &[f32]) -> usize {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).filter(|(a, b)| (*a - *b).abs() > 1e-3).count()
}

fn agrees_with_pytorch(name: &str, what: &str, swaps: &[Vec<Swap>]) {
    let kept = tensors::from_bytes(include_bytes!("data/attacks.safetensors")).unwrap();
    let theirs = |key: &str| {
        let name = format!("{name}.{what}.{key}");
        &kept.iter().find(|tensor| tensor.name == name).unwrap().values
    };
    let (network, examples) = (network(name), examples());
    let place = network.layers().iter().position(|layer| layer.name.as_str() == SWAPPED.0).unwrap();
    let sets = [initial(&network, 0.0, SWAPPED.1)];
    let mut target = Target::new(&network, &initial(&network, 0.0, 0), &sets, &[place]);
    let mut clean = vec![0.0; EXAMPLES * examples.features()];
    examples.images(0..EXAMPLES, &mut clean);
    let mut rows = clean.clone();
    let mut gradient = |_: u32, images: &[f32], out: &mut [f32]| {
        examples.standardise(images, &mut rows);
        target.gradient(&rows, &LABELS, swaps, out);
        Ok::<(), Infallible>(())
    };

    let mut slope = clean.clone();
    gradient(0, &clean, &mut slope).unwrap();
    let far = difference(&slope, theirs("gradient"), 0.0);
    assert!(far < 1e-4, "{name}, {what}: the gradient at the input differs by {far}");

    let mut fgsm = clean.clone();
    LIMITS.fgsm(&mut fgsm, |images, out| gradient(0, images, out)).unwrap();
    let count = others(&fgsm, theirs("fgsm"));
    assert!(count <= 4, "{name}, {what}: {count} pixels of FGSM differ");

    let start: Vec<f32> = (0..clean.len()).map(|index| uniform(251, index) * LIMITS.radius).collect();
    let mut pgd = clean.clone();
    LIMITS.pgd(&mut pgd, &start, gradient).unwrap();
    let count = others(&pgd, theirs("pgd"));
    assert!(count <= 12, "{name}, {what}: {count} pixels of PGD differ");
    assert!(others(&pgd, &clean) > clean.len() / 2 && others(&fgsm, &clean) > clean.len() / 2);

    for (images, key) in [(&fgsm, "fgsm.logits"), (&pgd, "pgd.logits")] {
        examples.standardise(images, &mut rows);
        target.errors(&rows, &LABELS, swaps);
        let far = difference(&target.logits(), theirs(key), 0.0);
        assert!(far < 1e-3, "{name}, {what}: {key} differ by {far}");
    }
}

#[test]
fn attacks_agree_with_pytorch() {
    for name in ["resnet-42x8", "resnet-42x8-bn"] {
        agrees_with_pytorch(name, "plain", &vec![Vec::new(); EXAMPLES]);
    }
}

#[test]
fn attacks_on_other_blocks_agree_with_pytorch() {
    for name in ["resnet-42x8", "resnet-42x8-bn"] {
        let chain = network(name);
        let place = chain.layers().iter().position(|layer| layer.name.as_str() == SWAPPED.0).unwrap();
        let swap = |example: usize| if example % 2 == 1 { vec![(place, 0)] } else { Vec::new() };
        agrees_with_pytorch(name, "swapped", &(0..EXAMPLES).map(swap).collect::<Vec<_>>());
    }
}

/// The study's Table 2 in small.
const SMALL: &str = "pipeline: small
matrix: { replaced: [0, 1, 2] }
stages:
  mnist: { download: { dataset: mnist } }
  few:   { needs: { data: mnist }, sample: { train: 1024, test: 64 } }
  fit:
    needs: { data: few }
    train:
      model: { identity_resnet: { stages: 2, blocks: 2, width: 4, bn: true } }
      epochs: 4
      batch: 16
      seed: 0
      optimizer: { sgd: { lr: 0.05, momentum: 0.9 } }
  attacked:
    needs: { run: fit, data: few }
    attack: { examples: 64, repeats: 2, radius: 32/255, steps: 3, step_size: 16/255, stochastic: { stages: $replaced, sets: 2 } }
  training: { needs: { training: fit }, aggregate: {} }
  attacks:  { needs: { probes: attacked }, aggregate: {} }
  table:
    needs: { probes: attacked }
    aggregate: { rows: [model, setting], columns: attack, value: error, statistics: [mean, std], over: [repeat] }
";

#[test]
fn attacks_make_a_table() {
    let space = Space::new().write("pipelines/small.yaml", SMALL);
    let ran = space.run(&["run", "pipelines/small.yaml", "--threads", "1"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let table = space.read("results/small/table.csv");
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(table.as_bytes()).into_records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 9, "{table}");
    let cell = |setting: &str, attack: &str, column: usize| -> f64 {
        let row = rows.iter().find(|row| &row[1] == setting && &row[2] == attack).unwrap();
        assert_eq!((&row[0], &row[3], &row[4]), ("resnet-22x4-bn", "error", "2"), "{row:?}");
        row[column].parse().unwrap()
    };
    let clean = cell("baseline", "clean", 5);
    let last = format!("4,test,error,{clean}");
    assert!(space.read("results/small/training.csv").lines().any(|line| line == last), "{last}");
    assert!(clean < 0.6 && cell("baseline", "fgsm", 5) > clean + 0.1, "{table}");
    assert!(cell("baseline", "pgd", 5) > clean + 0.1, "{table}");
    assert_eq!((cell("baseline", "clean", 6), cell("baseline", "fgsm", 6)), (0.0, 0.0));
    assert_ne!(cell("r=2 s=1", "clean", 5), cell("r=2 s=2", "clean", 5), "{table}");

    let other = Space::new().write("pipelines/small.yaml", SMALL);
    assert_eq!(other.run(&["run", "pipelines/small.yaml", "--threads", "3"]).code, 0);
    assert!(space.results("small") == other.results("small"), "threads change no byte");
}

#[test]
fn attacks_that_cannot_be() {
    let mut told = String::new();
    for (from, to) in [
        ("stages: $replaced", "stages: 3"),
        ("examples: 64", "examples: 65"),
        ("radius: 32/255", "radius: 8"),
        ("radius: 32/255", "radius: a/b"),
        ("sets: 2 }", "sets: 0 }"),
        ("steps: 3", "steps: 0"),
        ("identity_resnet: { stages: 2, blocks: 2", "identity_resnet: { stages: 2, blocks: 12"),
    ] {
        let text = SMALL.replacen(from, to, 1).replace("epochs: 4", "epochs: 1");
        let text = if text.contains("$replaced") {
            text
        } else {
            text.replace("matrix: { replaced: [0, 1, 2] }\n", "")
        };
        let text = text.replace("train: 1024", "train: 16");
        let ran = Space::new().write("pipelines/small.yaml", &text).run(&[
            "run",
            "pipelines/small.yaml",
            "attacked",
            "--jobs",
            "1",
        ]);
        assert_ne!(ran.code, 0, "{to}");
        let said = ran.stderr.lines().skip_while(|line| !line.trim_start().starts_with('×'));
        told.extend(["--- ", to, "\n", &said.collect::<Vec<_>>().join("\n"), "\n"]);
    }
    insta::assert_snapshot!("attacks_that_cannot_be", told);
}
