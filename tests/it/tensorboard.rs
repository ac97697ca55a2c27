//! `run --tensorboard`: what TensorBoard itself reads in the files is what `training.csv` says.

use std::process::Command;

use serde_json::{Value, json};

use crate::space::Space;

const READ: &str = "
import glob, json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for folder in glob.glob(sys.argv[1] + '/*/*'):
    events = EventAccumulator(folder).Reload()
    for curve in events.Tags()['scalars']:
        found[folder[len(sys.argv[1]) + 1:] + ' ' + curve] = [[e.step, e.value] for e in events.Scalars(curve)]
print(json.dumps(found))
";

/// What TensorBoard reads; `None`, and a line that says so, where it is not installed.
#[expect(clippy::print_stderr, reason = "a test that is not run should say so")]
fn read(space: &Space) -> Option<Value> {
    let is_there = Command::new("python3").args(["-c", "import tensorboard"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: python3 has no tensorboard");
        return None;
    }
    let read = Command::new("python3").args(["-c", READ]).arg(space.path("curves")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    Some(serde_json::from_slice(&read.stdout).unwrap())
}

/// What it should read: every curve of `training.csv`.
fn expected(space: &Space) -> Value {
    let mut curves = json!({});
    for row in space.read("results/quick/training.csv").lines().skip(1) {
        let [seed, epoch, split, metric, value] = row.split(',').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let curve = &mut curves[format!("quick/fit[seed={seed}] {split}/{metric}")];
        let point = json!([epoch.parse::<u32>().unwrap(), value.parse::<f64>().unwrap()]);
        match curve.as_array_mut() {
            Some(points) => points.push(point),
            None => *curve = json!([point]),
        }
    }
    curves
}

fn files(space: &Space) -> Vec<String> {
    let entries = std::fs::read_dir(space.path("curves/quick/fit[seed=0]")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn tensorboard_reads_the_learning_curves() {
    let space = Space::quick();
    let run = |more: &[&str]| space.run_quick(&[&["--tensorboard", "curves"], more].concat());
    run(&[]);
    let (fresh, fresh_files) = (read(&space), files(&space));
    assert!(fresh_files.len() == 1 && fresh_files[0].starts_with("events.out.tfevents."), "{fresh_files:?}");
    run(&[]);
    let cached = read(&space);
    assert_eq!(files(&space).len(), 1, "one file for each training, however often it is written");
    assert_eq!(
        std::fs::read_dir(space.path("curves/quick")).unwrap().count(),
        1,
        "other stages have no curves"
    );
    if let (Some(fresh), Some(cached)) = (fresh, cached) {
        assert_eq!(rounded(&fresh), rounded(&expected(&space)));
        assert_eq!(fresh, cached, "a training that was done before has the same curves");
    }
    run(&["--set", "epochs=4", "fit"]);
    if let Some(longer) = read(&space) {
        assert_eq!(
            longer["quick/fit[seed=0] test/error"].as_array().unwrap().len(),
            5,
            "the earlier epochs too"
        );
    }
}

/// TensorBoard's numbers have 32 bits.
fn rounded(curves: &Value) -> Vec<(String, Vec<(u64, f32)>)> {
    let curves = curves.as_object().unwrap().iter();
    let point = |point: &Value| (point[0].as_u64().unwrap(), point[1].as_f64().unwrap() as f32);
    curves
        .map(|(name, points)| (name.clone(), points.as_array().unwrap().iter().map(point).collect()))
        .collect()
}
