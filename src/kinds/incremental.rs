//! What an edit costs: after each change, only what it touches is trained or probed, and the bytes are those of a fresh run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::base::cancel::Cancel;
use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::kinds::evaluate::Evaluate;
use crate::kinds::fixture::Bench;
use crate::kinds::reset::Reset;
use crate::kinds::train::Train;
use crate::stage::parts::{Memory, Parts};
use crate::stage::{Artifact, Context, Inputs, Kind, Report, StageError};

static TRAIN: Kind = Kind::of::<Train>();
static RESET: Kind = Kind::of::<Reset>();
static EVALUATE: Kind = Kind::of::<Evaluate>();

/// Parts in memory, of which the test knows the keys.
#[derive(Default)]
struct Known {
    memory: Memory,
    keys: Mutex<BTreeSet<Digest>>,
    /// Whether all of them have been damaged.
    is_damaged: bool,
}

impl Known {
    fn keys(&self) -> BTreeSet<Digest> {
        self.keys.lock().unwrap().clone()
    }
}

impl Parts for Known {
    fn read(&self, key: Digest) -> Result<Vec<Vec<u8>>, FileError> {
        if self.is_damaged { Ok(Vec::new()) } else { self.memory.read(key) }
    }

    fn has(&self, key: Digest) -> bool {
        self.memory.has(key)
    }

    fn add(&self, key: Digest, bytes: &[u8]) -> Result<(), FileError> {
        self.keys.lock().unwrap().insert(key);
        self.memory.add(key, bytes)
    }

    fn remove(&self, key: Digest) -> Result<(), FileError> {
        self.keys.lock().unwrap().remove(&key);
        self.memory.remove(key)
    }
}

/// For a user who does not want to stop.
const NEVER: u64 = u64::MAX;

/// An execution, and what it told.
struct Execution {
    result: Result<Vec<(String, Vec<u8>)>, StageError>,
    reports: Vec<(u64, u64, String)>,
}

impl Execution {
    /// Runs a stage in a folder of its own, for a user who wants to stop once so much is done.
    fn new(
        kind: &'static Kind,
        parameters: &Value,
        inputs: &[(&str, &Artifact)],
        parts: &dyn Parts,
        stop: u64,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [out, scratch] = ["out", "scratch"].map(|name| folder.path().join(name));
        for folder in [&out, &scratch] {
            fsx::create_dir_all(folder).unwrap();
        }
        if kind.resumes {
            fsx::write_atomic(&out.join("checkpoint-0001.safetensors"), b"of an interrupted attempt")
                .unwrap();
        }
        let (reports, stopped) = (Mutex::default(), AtomicBool::new(false));
        let report = |report| {
            let Report::Progress { done, total, note, .. } = report else { return };
            stopped.fetch_or(done >= stop, Ordering::Relaxed);
            Vec::push(&mut reports.lock().unwrap(), (done, total, note));
        };
        let (cancel, log) = (Cancel::new(&stopped), &scratch.join("log"));
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let context = Context {
            out: &out,
            scratch: &scratch,
            root,
            local: None,
            threads: 2,
            cancel,
            parts,
            log,
            report: &report,
        };
        let inputs = inputs.iter().map(|(slot, artifact)| ((*slot).to_owned(), vec![(*artifact).clone()]));
        let result = kind.parse(parameters).unwrap().run(&Inputs(inputs.collect()), &context);
        let files = || {
            fsx::list(&out)
                .unwrap()
                .into_iter()
                .map(|name| (name.clone(), fsx::read(&out.join(name)).unwrap()))
        };
        let result = result.map(|()| files().collect());
        Self { result, reports: reports.into_inner().unwrap() }
    }

    /// The epochs that were trained.
    fn epochs(&self) -> Vec<u32> {
        let ends = self.reports.iter().filter(|(done, ..)| done.is_multiple_of(6)); // 6 batches of at most 128 make 700
        let epoch = |note: &str| note["epoch ".len()..].split('/').next().unwrap().parse().unwrap();
        ends.map(|(_, _, note)| epoch(note)).collect()
    }

    /// How many probes were evaluated.
    fn probes(&self) -> u64 {
        let done = self.reports.iter().map(|(done, ..)| *done).max().unwrap_or(0);
        assert!(self.reports.iter().all(|(_, total, _)| *total == done), "{:?}", self.reports);
        done
    }
}

type Change = fn(&mut Value);

fn same(_: &mut Value) {}

fn training(change: Change) -> Value {
    let mut parameters = json!({
        "model": {"fcn": {"depth": 1, "width": 6}}, "epochs": 12, "batch": 128, "seed": 1,
        "optimizer": {"sgd": {"lr": 0.1, "momentum": 0.9}}, "schedule": {"steps": {"at": [5], "factor": 0.5}},
    });
    change(&mut parameters);
    parameters
}

fn varied(parameters: &mut Value) {
    parameters["augment"] = json!({"pad": 1, "flip": true});
}

/// What is there before, the change, and the epochs that are trained after it. Of 12 epochs with a step at 5, the states after 5, 10
/// and 12 are kept.
const TRAININGS: [(Change, Change, &[u32]); 23] = [
    (same, same, &[]),
    (same, |p| p["epochs"] = json!(15), &[13, 14, 15]),
    (same, |p| p["epochs"] = json!(11), &[11]),
    (same, |p| p["epochs"] = json!(10), &[]),
    // Schedules.
    (same, |p| p["schedule"]["steps"]["at"] = json!([9]), &[6, 7, 8, 9, 10, 11, 12]),
    (same, |p| p["schedule"]["steps"]["at"] = json!([5, 10]), &[11, 12]),
    (same, |p| p["schedule"]["steps"]["at"] = json!([5, 12, 30]), &[]),
    (same, |p| p["schedule"]["steps"]["factor"] = json!(0.1), &[6, 7, 8, 9, 10, 11, 12]),
    (
        |p| p["schedule"]["steps"]["at"] = json!([12]),
        |p| drop(p.as_object_mut().unwrap().remove("schedule")),
        &[],
    ),
    // Checkpoints.
    (|p| p["checkpoints"] = json!([3]), |p| p["checkpoints"] = json!([3, 7]), &[6, 7]),
    (|p| p["checkpoints"] = json!([3]), |p| p["checkpoints"] = json!([3, 5, 10]), &[]),
    (|p| p["checkpoints"] = json!([3]), |p| p["checkpoints"] = json!([4]), &[4]),
    (same, |p| p["checkpoints"] = json!([7]), &[]),
    (|p| p["checkpoints"] = json!([3]), same, &[1, 2, 4, 6, 7, 8, 9, 11]),
    // What acts from the first epoch on.
    (same, |p| p["seed"] = json!(2), &ALL),
    (same, |p| p["batch"] = json!(127), &ALL),
    (same, |p| p["optimizer"]["sgd"]["lr"] = json!(0.2), &ALL),
    (same, |p| p["optimizer"]["sgd"]["momentum"] = json!(0.8), &ALL),
    (same, |p| p["optimizer"]["sgd"]["weight_decay"] = json!(0.01), &ALL),
    (same, |p| p["model"]["fcn"]["width"] = json!(7), &ALL),
    (same, varied, &ALL),
    (varied, |p| p["augment"] = json!({"pad": 1}), &ALL),
    (varied, |p| (varied(p), p["epochs"] = json!(14)).1, &[13, 14]),
];
const ALL: [u32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

#[test]
fn a_training_takes_every_state_that_it_shares_with_another() {
    let bench = Bench::new();
    let data = bench.dataset();
    let train =
        |change, parts: &Known| Execution::new(&TRAIN, &training(change), &[("data", &data)], parts, NEVER);
    for (row, (before, after, epochs)) in TRAININGS.into_iter().enumerate() {
        let [parts, fresh] = [(); 2].map(|()| Known::default());
        train(before, &parts).result.unwrap();
        let allowed = parts.keys();
        let execution = train(after, &parts);
        assert_eq!(execution.epochs(), epochs, "row {row}");
        assert!(execution.result.unwrap() == train(after, &fresh).result.unwrap(), "row {row}");
        assert!(parts.keys().is_superset(&allowed), "row {row}: what another training keeps is gone");
        let allowed = allowed.union(&fresh.keys()).copied().collect();
        assert!(parts.keys().is_subset(&allowed), "row {row}: states are left over");
    }
}

#[test]
fn other_data_begin_another_chain() {
    let bench = Bench::new();
    let (data, parts) = (bench.dataset(), Known::default());
    let mut other = data.clone();
    other.digests.insert("dataset.json".to_owned(), Digest::of(b"another"));
    for data in [data, other] {
        assert_eq!(Execution::new(&TRAIN, &training(same), &[("data", &data)], &parts, NEVER).epochs(), ALL);
    }
}

/// In which epoch it stops, the change that its user makes then, and the epochs that are trained after that. That epoch is
/// lost.
const INTERRUPTIONS: [(u64, Change, &[u32]); 6] = [
    (1, same, &ALL),
    (8, same, &[8, 9, 10, 11, 12]),
    (8, |p| p["epochs"] = json!(9), &[8, 9]),
    (8, |p| p["epochs"] = json!(14), &[8, 9, 10, 11, 12, 13, 14]),
    (8, |p| p["schedule"]["steps"]["at"] = json!([5, 7]), &[8, 9, 10, 11, 12]),
    (8, |p| p["schedule"]["steps"]["at"] = json!([4]), &ALL), // the kept state 5 is of another chain by now
];

#[test]
fn an_interrupted_training_continues_from_its_last_state() {
    let bench = Bench::new();
    let data = bench.dataset();
    let train = |change, parts: &Known, stop| {
        Execution::new(&TRAIN, &training(change), &[("data", &data)], parts, stop)
    };
    for (row, (stop, change, epochs)) in INTERRUPTIONS.into_iter().enumerate() {
        let [parts, whole, fresh] = [(); 3].map(|()| Known::default());
        train(same, &whole, NEVER).result.unwrap();
        assert!(matches!(train(same, &parts, stop * 6).result, Err(StageError::Cancelled)));
        let execution = train(change, &parts, NEVER);
        assert_eq!(execution.epochs(), epochs, "row {row}");
        assert!(execution.result.unwrap() == train(change, &fresh, NEVER).result.unwrap(), "row {row}");
        let allowed: BTreeSet<_> = whole.keys().union(&fresh.keys()).copied().collect();
        let left = parts.keys().difference(&allowed).count();
        // Only where the user went another way before it, the last state of the interrupted training stays.
        assert_eq!(left, usize::from(epochs == ALL && stop > 1), "row {row}");
    }
}

#[test]
fn an_interrupted_training_on_varied_images_continues_with_the_same_variation() {
    let bench = Bench::new();
    let data = bench.dataset();
    let train =
        |parts: &Known, stop| Execution::new(&TRAIN, &training(varied), &[("data", &data)], parts, stop);
    let [parts, fresh] = [(); 2].map(|()| Known::default());
    assert!(matches!(train(&parts, 8 * 6 - 3).result, Err(StageError::Cancelled)));
    let execution = train(&parts, NEVER);
    assert_eq!(execution.epochs(), [8, 9, 10, 11, 12]);
    assert!(execution.result.unwrap() == train(&fresh, NEVER).result.unwrap());
}

#[test]
fn damaged_parts_cost_work_only() {
    let bench = Bench::new();
    let data = bench.dataset();
    let mut parts = Known::default();
    let train = |parts: &Known| Execution::new(&TRAIN, &training(same), &[("data", &data)], parts, NEVER);
    let whole = train(&parts).result.unwrap();
    parts.is_damaged = true;
    let again = train(&parts);
    assert_eq!(again.epochs(), ALL);
    assert!(again.result.unwrap() == whole);
}

fn probing(change: Change) -> Value {
    let mut parameters = json!({
        "reset": {"layers": ["layer1", ["layer1", "layer2"]], "reinit": [0, 3], "rerand": {"draws": 1}},
        "evaluate": {"split": ["test"], "metrics": ["error"]}, "seed": 0,
    });
    change(&mut parameters);
    parameters
}

/// Evaluates the final model of a run of this seed under these resets.
fn probe(bench: &Bench, parameters: &Value, parts: &dyn Parts, stop: u64) -> Execution {
    let run = bench.run(parameters["seed"].as_u64().unwrap());
    let folder = format!("patches {}", Digest::of(parameters.to_string().as_bytes()));
    let patches = bench.stage(&folder, &RESET, &parameters["reset"], &[("run", &run)]).unwrap();
    let inputs = [("run", &run), ("patches", &patches), ("data", &bench.dataset())];
    Execution::new(&EVALUATE, &parameters["evaluate"], &inputs, parts, stop)
}

/// What is there before, the change, and how many probes are evaluated after it. There are 6.
const PROBES: [(Change, Change, u64); 16] = [
    (same, same, 0),
    (same, |p| p["reset"]["layers"] = json!(["layer1", "layer3", ["layer1", "layer2"]]), 3),
    (same, |p| p["reset"]["layers"] = json!(["layer1"]), 0),
    (same, |p| p["reset"]["complement"] = json!(true), 3),
    (same, |p| p["reset"]["full_model"] = json!(true), 3),
    (
        |p| p["reset"]["full_model"] = json!(true),
        |p| p["reset"]["layers"] = json!([["layer1", "layer2", "layer3"]]),
        0,
    ),
    (same, |p| p["reset"]["rerand"]["draws"] = json!(3), 4),
    (same, |p| p["reset"]["rerand"]["seed"] = json!(7), 2),
    (same, |p| p["reset"]["reinit"] = json!([0, 3, 12]), 2),
    (same, |p| p["reset"]["reinit"] = json!([3]), 0),
    (same, |p| p["evaluate"]["metrics"] = json!(["error", "loss"]), 6),
    (
        |p| p["evaluate"]["metrics"] = json!(["error", "loss"]),
        |p| p["evaluate"]["metrics"] = json!(["loss"]),
        0,
    ),
    (same, |p| p["evaluate"]["split"] = json!(["test", "train"]), 6),
    (|p| p["evaluate"]["split"] = json!(["test", "train"]), same, 0),
    (same, |p| p["evaluate"] = json!({"split": ["test", "train"], "metrics": ["error", "loss"]}), 12),
    (same, |p| p["seed"] = json!(1), 6),
];

#[test]
fn an_evaluation_makes_only_the_probes_that_nobody_has_made() {
    let bench = Bench::new();
    for (row, (before, after, probes)) in PROBES.into_iter().enumerate() {
        let parts = Memory::default();
        probe(&bench, &probing(before), &parts, NEVER).result.unwrap();
        let execution = probe(&bench, &probing(after), &parts, NEVER);
        assert_eq!(execution.probes(), probes, "row {row}");
        let fresh = probe(&bench, &probing(after), &Memory::default(), NEVER).result.unwrap();
        assert!(execution.result.unwrap() == fresh, "row {row}");
    }
}

#[test]
fn an_interrupted_evaluation_keeps_the_splits_that_it_finished() {
    let bench = Bench::new();
    let parameters = probing(|p| p["evaluate"]["split"] = json!(["test", "train"]));
    let parts = Memory::default();
    let stopped = probe(&bench, &parameters, &parts, 6);
    assert!(matches!(stopped.result, Err(StageError::Cancelled)));
    assert_eq!(probe(&bench, &parameters, &parts, NEVER).probes(), 6);
}

#[test]
fn known_probes_need_no_checkpoint_and_no_example() {
    let bench = Bench::new();
    let run = bench.run(0);
    let patches = bench.stage("patches", &RESET, &probing(same)["reset"], &[("run", &run)]).unwrap();
    let (parts, data, parameters) = (Memory::default(), bench.dataset(), &probing(same)["evaluate"]);
    let evaluate = |run: &Artifact, data: &Artifact| {
        Execution::new(
            &EVALUATE,
            parameters,
            &[("run", run), ("patches", &patches), ("data", data)],
            &parts,
            NEVER,
        )
    };
    let result = evaluate(&run, &data).result.unwrap();
    let (mut run, mut data) = (run.clone(), data.clone());
    run.files.0.retain(|name, _| name == "run.json");
    data.files.0.clear();
    assert!(evaluate(&run, &data).result.unwrap() == result);
}
