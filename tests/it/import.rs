//! Networks that were trained elsewhere, through the real program: probed like ours, or told what is wrong with their files. And the
//! reverse, where there is a PyTorch: our checkpoints in its networks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use insta::assert_snapshot;
use layerwise::nn::import::{self, Names};
use layerwise::nn::params::{Parameter, Params};
use layerwise::nn::zoo::Arch;
use safetensors::tensor::{Dtype, TensorView};

use crate::libraries::evaluate;
use crate::space::{Ran, Space};

const PIPELINE: &str = "
pipeline: own
stages:
  mnist:  { download: { dataset: mnist } }
  few:    { needs: { data: mnist }, sample: { train: 100, test: 200 } }
  net:
    import:
      file: weights/net.safetensors
      init: weights/init.safetensors
      model: { resnet_v1: { depth: 18, width: 2 } }
      shape: [1, 28, 28]
      classes: 10
      names: torchvision
  resets: { needs: { run: net }, reset: { layers: [stem, fc], reinit: all, rerand: { draws: 1 }, full_model: true } }
  probe:  { needs: { run: net, patches: resets, data: few }, evaluate: { split: test, metrics: loss } }
  moved:  { needs: { run: net, patches: resets }, distance: { metrics: rms } }
  probes:    { needs: { probes: probe }, aggregate: {} }
  distances: { needs: { distances: moved }, aggregate: {} }
";

const INIT: &str = "      init: weights/init.safetensors\n";

/// A tensor of a file: its name, type, shape and bytes.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// The bytes of a safetensors file.
pub(crate) fn safetensors_file(stored: &[Stored]) -> Vec<u8> {
    let views = stored.iter().map(|(name, dtype, shape, bytes)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).expect("as many bytes as the shape says"))
    });
    safetensors::serialize(views, None).unwrap()
}

/// A tensor as it is stored.
pub(crate) fn stored(Parameter { name, shape, values }: &Parameter) -> Stored {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    (name.clone(), Dtype::F32, shape.clone(), bytes)
}

fn arch() -> Arch {
    serde_json::from_str(r#"{"resnet_v1": {"depth": 18, "width": 2}}"#).unwrap()
}

/// Initial values of a seed, as torchvision would write them.
fn weights(seed: u64) -> Vec<Stored> {
    let prefixes = arch().prefixes(Names::Torchvision).unwrap();
    let params = arch().network([1, 28, 28], 10).init(seed);
    let named =
        |tensor: &Parameter| Parameter { name: import::theirs(&tensor.name, &prefixes), ..tensor.clone() };
    params.iter().map(|tensor| stored(&named(tensor))).collect()
}

/// A project with the pipeline and its weights.
fn space(pipeline: &str, net: &[u8]) -> Space {
    let space = Space::new().write("pipelines/own.yaml", pipeline).write("weights/README", "");
    std::fs::write(space.path("weights/net.safetensors"), net).unwrap();
    std::fs::write(space.path("weights/init.safetensors"), safetensors_file(&weights(0))).unwrap();
    space
}

fn run(space: &Space, arguments: &[&str]) -> Ran {
    space.run(&[&["run", "pipelines/own.yaml"], arguments].concat())
}

/// `layer source epoch` → value.
fn values(space: &Space, table: &str) -> BTreeMap<String, f64> {
    let mut reader = csv::Reader::from_path(space.path(table)).unwrap();
    let rows = reader.deserialize().map(|row: csv::Result<BTreeMap<String, String>>| row.unwrap());
    rows.map(|row| {
        (format!("{} {} {}", row["layer"], row["source"], row["epoch"]), row["value"].parse().unwrap())
    })
    .collect()
}

#[test]
fn an_imported_network_is_probed_like_ours() {
    let space = space(PIPELINE, &safetensors_file(&weights(1)));
    let ran = run(&space, &[]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let losses = values(&space, "results/own/probes.csv");
    let full = losses["fullmodel reinit 1"];
    for layer in ["stem", "fc"] {
        assert_eq!(losses[&format!("{layer} reinit 1")], full);
        assert_ne!(losses[&format!("{layer} reinit 0")], full);
        assert_ne!(losses[&format!("{layer} rerand ")], losses[&format!("{layer} reinit 0")]);
    }
    let moved = values(&space, "results/own/distances.csv");
    assert_eq!(moved["fc reinit 0"], 0.0);
    assert!(moved["fc reinit 1"] > 0.0 && moved["fc rerand "] > 0.0, "{moved:?}");

    let plan = |space: &Space| space.run(&["plan", "pipelines/own.yaml"]).stdout;
    assert!(plan(&space).starts_with("0 of 8 stages to run"), "{}", plan(&space));
    std::fs::write(space.path("weights/net.safetensors"), safetensors_file(&weights(2))).unwrap();
    assert!(!plan(&space).starts_with("0 of 8"), "{}", plan(&space));
    assert_eq!(run(&space, &[]).code, 0);
    let others = values(&space, "results/own/probes.csv");
    assert_ne!(others["fullmodel reinit 1"], full);
    assert_eq!(others["fullmodel reinit 0"], losses["fullmodel reinit 0"], "the initial values are the same");
}

#[test]
fn without_initial_values_layers_are_rerandomized_only() {
    let space = space(&PIPELINE.replace(INIT, ""), &safetensors_file(&weights(1)));
    let ran = run(&space, &["probes"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let losses = values(&space, "results/own/probes.csv");
    let columns: Vec<_> = losses.keys().filter_map(|key| key.strip_prefix("stem ")).collect();
    assert_eq!(columns, ["reinit 1", "rerand "]);
}

/// What a failing run says at its end.
fn failure(space: &Space, target: &str) -> String {
    let ran = run(space, &[target]);
    assert_ne!(ran.code, 0, "{ran:#?}");
    ran.stderr[ran.stderr.find("  × ").unwrap_or_else(|| panic!("no error in {}", ran.stderr))..].to_owned()
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let changed = |change: fn(&mut Vec<Stored>)| {
        let mut tensors = weights(1);
        change(&mut tensors);
        safetensors_file(&tensors)
    };
    let mut all = String::new();
    for (what, bytes) in [
        ("torch.save", b"PK\x03\x04 and so on".to_vec()),
        ("a page that says 404", b"<html><body>Not Found</body></html>".to_vec()),
        ("half of it", safetensors_file(&weights(1))[..20_000].to_vec()),
        (
            "DataParallel",
            changed(|tensors| tensors.iter_mut().for_each(|(name, ..)| name.insert_str(0, "module."))),
        ),
        (
            "three classes",
            changed(|tensors| {
                for (_, _, shape, bytes) in tensors.iter_mut().filter(|(name, ..)| name.starts_with("fc.")) {
                    let size = bytes.len() * 3 / 10;
                    shape[0] = 3;
                    bytes.truncate(size);
                }
            }),
        ),
        (
            "64 bits",
            changed(|tensors| {
                tensors[0].1 = Dtype::F64;
                tensors[0].3 = tensors[0].3.repeat(2);
            }),
        ),
        (
            "more blocks",
            changed(|tensors| {
                for name in ["layer4.2.conv1.weight", "layer4.2.bn1.weight"] {
                    tensors.push((name.to_owned(), Dtype::F32, vec![1], vec![0; 4]));
                }
            }),
        ),
    ] {
        writeln!(all, "# {what}\n{}", failure(&space(PIPELINE, &bytes), "net")).unwrap();
    }
    assert_snapshot!("what_is_wrong_with_a_file", all);
}

#[test]
fn what_an_import_cannot_be_is_told() {
    let mut all = String::new();
    for (from, to, target) in [
        ("weights/net.safetensors", "weights/nett.safetensors", "net"),
        ("names: torchvision", "names: torchvison", "net"),
        ("model: { resnet_v1: { depth: 18, width: 2 } }", "model: { fcn: { depth: 1, width: 2 } }", "net"),
        (&format!("{INIT}      model"), "      model", "moved"),
        (
            &format!(
                "{INIT}      model: {{ resnet_v1: {{ depth: 18, width: 2 }} }}\n      shape: [1, 28, 28]"
            ),
            "      model: { resnet_v1: { depth: 18, width: 2 } }\n      shape: [1, 32, 32]",
            "probe",
        ),
        ("{ probes: probe }, aggregate: {} }", "{ training: net }, aggregate: {} }", "probes"),
    ] {
        assert!(PIPELINE.contains(from), "{from}");
        let space = space(&PIPELINE.replace(from, to), &safetensors_file(&weights(1)));
        writeln!(all, "# {to}\n{}", failure(&space, target)).unwrap();
    }
    let text = PIPELINE.replace(INIT, "").replace("reinit: all", "reinit: [0]");
    writeln!(all, "# reinit: [0]\n{}", failure(&space(&text, &safetensors_file(&weights(1))), "resets"))
        .unwrap();
    assert_snapshot!("what_an_import_cannot_be", all);
}

/// The beginning of a script that gives the files of a stage.
const FILES: &str = r#"
import json, os, subprocess, torch
from safetensors.torch import load_file
shown = subprocess.check_output([os.environ["LAYERWISE"], "show", *os.environ["STAGE"].split(), "--json"])
weights = {output["name"]: output["path"] for output in json.loads(shown)["outputs"]}
"#;

/// Runs a Python script that prints logits; `None`, and a line that says so, where there is no Python with these modules.
#[expect(clippy::print_stderr, reason = "a test that is not run should say so")]
fn python(space: &Space, stage: &str, modules: &str, script: &str) -> Option<Vec<f32>> {
    let has = Command::new("python3").args(["-c", &format!("import {modules}")]).output();
    if !has.is_ok_and(|ran| ran.status.success()) {
        eprintln!("SKIPPED: there is no python3 with {modules}");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", &(FILES.to_owned() + script)]).current_dir(space.path(""));
    let ran = command.env("LAYERWISE", env!("CARGO_BIN_EXE_layerwise")).env("STAGE", stage).output().unwrap();
    let ran = Ran::from(ran);
    assert_eq!(ran.code, 0, "{ran:#?}");
    Some(serde_json::from_str(&ran.stdout).unwrap())
}

/// What our network makes of the numbers 0, 1/n, 2/n and so on, with a checkpoint of a stage.
fn logits(space: &Space, stage: &str, checkpoint: &str, arch: &Arch) -> Vec<f32> {
    let shown = space.run(&[&["show"], &stage.split(' ').collect::<Vec<_>>()[..], &["--json"]].concat());
    let record: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let outputs = record["outputs"].as_array().unwrap();
    let output = outputs.iter().find(|output| output["name"] == checkpoint).unwrap();
    let bytes = std::fs::read(space.path(output["path"].as_str().unwrap())).unwrap();
    let network = arch.network([1, 28, 28], 10);
    let params: Params = import::params(&network, &[], &bytes).unwrap();
    let input: Vec<f32> = (0..784).map(|index| index as f32 / 784.0).collect();
    evaluate(&network, &params, &input, 1)
}

fn assert_close(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(f32::MIN_POSITIVE, |scale, value| scale.max(value.abs()));
    assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-4 * scale), "{ours:?} {theirs:?}");
}

#[test]
fn our_checkpoints_are_networks_of_pytorch() {
    let space = Space::quick();
    let script = r#"
from collections import OrderedDict
from torch.nn import Flatten, Linear, ReLU, Sequential
net = Sequential(OrderedDict(flat=Flatten(), layer1=Linear(784, 16), relu1=ReLU(), layer2=Linear(16, 16), relu2=ReLU(),
                             layer3=Linear(16, 10)))
net.load_state_dict(load_file(weights["checkpoint-0003.safetensors"]))
print(net((torch.arange(784) / 784).reshape(1, 1, 28, 28))[0].tolist())
"#;
    let stage = "pipelines/quick.yaml fit";
    assert_eq!(space.run(&["run", "pipelines/quick.yaml", "fit"]).code, 0);
    let Some(theirs) = python(&space, stage, "torch, safetensors", script) else { return };
    let arch = serde_json::from_str(r#"{"fcn": {"depth": 2, "width": 16}}"#).unwrap();
    assert_close(&logits(&space, stage, "checkpoint-0003.safetensors", &arch), &theirs);
}

#[test]
fn our_checkpoints_are_networks_of_torchvision() {
    let text =
        PIPELINE.replace("depth: 18, width: 2", "depth: 18").replace("names: torchvision", "names: own");
    let arch: Arch = serde_json::from_str(r#"{"resnet_v1": {"depth": 18}}"#).unwrap();
    let params = arch.network([1, 28, 28], 10).init(1);
    let space =
        space(&text.replace(INIT, ""), &safetensors_file(&params.iter().map(stored).collect::<Vec<_>>()));
    let script = r#"
from torchvision.models import resnet18
net = resnet18(num_classes=10).eval()
net.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
state = load_file(weights["checkpoint-0001.safetensors"])
net.load_state_dict({name.removeprefix("stem."): tensor for name, tensor in state.items()})
print(net((torch.arange(784) / 784).reshape(1, 1, 28, 28))[0].tolist())
"#;
    let stage = "pipelines/own.yaml net";
    assert_eq!(run(&space, &["net"]).code, 0);
    let Some(theirs) = python(&space, stage, "torch, safetensors, torchvision", script) else { return };
    assert_close(&logits(&space, stage, "checkpoint-0001.safetensors", &arch), &theirs);
}
