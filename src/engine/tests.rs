//! The engine on toy kinds: what ran is read off the log of events.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::*;
use crate::base::fsx;
use crate::pipeline::{self, Keyed, Override, Surroundings};
use crate::stage::{ArtifactType, Context, Inputs, Kind, Registry, Report, Slot, Stage, StageError};
use crate::store::{Provenance, Store};

const TEXT: ArtifactType = ArtifactType("text");

/// Writes a word; can be told to fail or to panic. At the word `stop` the log acts as if the user had pressed Ctrl-C.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Say {
    word: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    times: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Stage for Say {
    const KIND: &'static str = "say";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "writes a word";
    const SLOTS: &'static [Slot] = &[Slot::any("after", TEXT)];
    const OUTPUT: ArtifactType = TEXT;

    fn run(&self, _: &Inputs, context: &Context) -> Result<(), StageError> {
        context.check_cancelled()?;
        match self.word.as_str() {
            "fail" => return Err(StageError::with_hint("it was told to fail", "say something else")),
            "panic" => panic!("it was told to panic"),
            _ => context.note(format!("saying {}", self.word)),
        }
        Ok(fsx::write_atomic(&context.out.join("text.txt"), self.word.as_bytes())?)
    }
}

/// Joins texts with their coordinates.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Join {}

impl Stage for Join {
    const KIND: &'static str = "join";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "joins words";
    const SLOTS: &'static [Slot] = &[Slot::many("texts", TEXT)];
    const OUTPUT: ArtifactType = ArtifactType("joined");
    const PUBLISHED: bool = true;

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let mut joined = String::new();
        for text in inputs.many("texts") {
            let word = fsx::read_to_string(text.path("text.txt")?)?;
            writeln!(joined, "{:?} {word}", text.coordinates)?;
        }
        Ok(fsx::write_atomic(&context.out.join("joined.txt"), joined.as_bytes())?)
    }
}

static TOYS: &[Kind] = &[Kind::of::<Say>(), Kind::of::<Join>()];

const TWO_SEEDS: &str = "
pipeline: toy
matrix: { seed: [a, b] }
stages:
  say: { say: { word: $seed } }
  all: { needs: { texts: say }, join: {} }
";

#[derive(Default)]
struct Log {
    text: String,
    stop: Arc<AtomicBool>,
}

impl Observer for Log {
    fn event(&mut self, event: &Event<'_>) {
        let line = match event {
            Event::Planned { wanted, misses } => format!("planned {misses} of {wanted}"),
            Event::Started { node, .. } => format!("started {}", node.node),
            Event::Retried { node, error } => format!("retried {}: {error}", node.node),
            Event::Waiting { node } => format!("waiting {}", node.node),
            Event::Reported { node, report: Report::Note(text) } => {
                self.stop.fetch_or(text == "saying stop", Ordering::Relaxed);
                format!("noted {}: {text}", node.node)
            }
            Event::Reported { .. } => return,
            Event::Ended { node, outcome, .. } => match outcome {
                Outcome::Cached(_) => format!("cached {}", node.node),
                Outcome::Built(_) => format!("built {}", node.node),
                Outcome::Failed(error) => format!("failed {}: {error}", node.node),
                Outcome::Skipped { because } => format!("skipped {} because of {because}", node.node),
                Outcome::Interrupted => format!("interrupted {}", node.node),
            },
        };
        self.text += &line;
        self.text.push('\n');
    }
}

fn keyed(text: &str, overrides: &[&str]) -> Keyed {
    let overrides: Vec<Override> = overrides.iter().map(|o| o.parse().unwrap()).collect();
    let surroundings = Surroundings {
        registry: Registry(TOYS),
        numerics: "toy",
        digest: &|_| unreachable!("no toy reads files"),
        read: &|_| unreachable!("no pipeline uses another"),
    };
    pipeline::load("toy.yaml", text, &overrides, &surroundings).unwrap()
}

/// Runs a pipeline and returns the log; publishes if all went well.
fn run_in(folder: &Path, keyed: &Keyed, targets: &[&str]) -> String {
    run_with(folder, keyed, targets, 1)
}

fn run_with(folder: &Path, keyed: &Keyed, targets: &[&str], jobs: usize) -> String {
    let store = Store::open(&folder.join("store")).unwrap();
    let wish = Wish { targets: targets.iter().map(ToString::to_string).collect(), force: Vec::new() };
    let plan = Plan::new(keyed, &store, &wish).unwrap();
    let mut log = Log::default();
    let stop = Arc::clone(&log.stop);
    let capacity = Capacity { jobs, threads: 1, memory: 1000, gpus: 0 };
    let settings = Settings {
        root: folder,
        capacity,
        keep_going: false,
        cancelled: &stop,
        provenance: Provenance::default(),
    };
    let outcomes = run(keyed, &plan, &store, &settings, &mut log).unwrap();
    if outcomes.iter().flatten().all(|outcome| outcome.summary().is_some()) {
        publish::publish(keyed, &outcomes, &store, &folder.join("toy")).unwrap();
    }
    log.text
}

#[test]
fn first_run_second_run_and_back_again() {
    let folder = TempDir::new().unwrap();
    assert_snapshot!(run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]), @r"
    planned 3 of 3
    started say[seed=a]
    noted say[seed=a]: saying a
    built say[seed=a]
    started say[seed=b]
    noted say[seed=b]: saying b
    built say[seed=b]
    started all
    built all
    ");
    assert_snapshot!(fsx::read_to_string(&folder.path().join("toy/all.txt")).unwrap(), @r#"
    {"seed": "a"} a
    {"seed": "b"} b
    "#);
    let lock = fsx::read(&folder.path().join("toy/lock.json")).unwrap();
    assert_snapshot!(run_in(folder.path(), &keyed(TWO_SEEDS, &["seed=[b, c]"]), &[]), @r"
    planned 2 of 3
    cached say[seed=b]
    started say[seed=c]
    noted say[seed=c]: saying c
    built say[seed=c]
    started all
    built all
    ");
    assert_snapshot!(run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]), @r"
    planned 0 of 3
    cached say[seed=a]
    cached say[seed=b]
    cached all
    ");
    assert_eq!(fsx::read(&folder.path().join("toy/lock.json")).unwrap(), lock);
}

#[test]
fn names_comments_order_and_slips_of_spelling_rerun_nothing() {
    let folder = TempDir::new().unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    let same = "
# another comment
stages:
  every: { join: {}, needs: { texts: [utter] } }
  utter: { about: the same, say: { times: 0, word: $seed } }
matrix: { seed: [b, a] }
pipeline: toy
";
    assert!(run_in(folder.path(), &keyed(same, &[]), &[]).starts_with("planned 0 of 3"));
}

#[test]
fn a_failure_stops_what_is_new_and_names_itself() {
    let folder = TempDir::new().unwrap();
    let text = "
pipeline: toy
stages:
  good: { say: { word: good } }
  worse: { needs: { after: good }, say: { word: fail } }
  z: { needs: { texts: [good, worse] }, join: {} }
";
    assert_snapshot!(run_in(folder.path(), &keyed(text, &[]), &[]), @r"
    planned 3 of 3
    started good
    noted good: saying good
    built good
    started worse
    failed worse: it was told to fail
    skipped z because of worse
    ");
    assert!(
        fsx::list(&folder.path().join("store/v1/staging")).unwrap().is_empty(),
        "a failure leaves nothing"
    );
    assert_snapshot!(run_in(folder.path(), &keyed(&text.replace("fail", "panic"), &[]), &["worse"]), @r"
    planned 1 of 2
    cached good
    started worse
    failed worse: the stage panicked: it was told to panic
    ");
}

#[test]
fn a_stop_starts_nothing_new() {
    let folder = TempDir::new().unwrap();
    let text = TWO_SEEDS.replace("[a, b]", "[stop, b]");
    assert_snapshot!(run_in(folder.path(), &keyed(&text, &[]), &[]), @r"
    planned 3 of 3
    started say[seed=stop]
    noted say[seed=stop]: saying stop
    built say[seed=stop]
    interrupted say[seed=b]
    interrupted all
    ");
    assert!(run_in(folder.path(), &keyed(&text, &[]), &[]).contains("cached say[seed=stop]"));
}

#[test]
fn equal_nodes_are_one() {
    let folder = TempDir::new().unwrap();
    let text = "
pipeline: toy
stages:
  one: { say: { word: x } }
  two: { say: { word: x } }
  sum: { needs: { texts: [one, two] }, join: {} }
";
    let log = run_in(folder.path(), &keyed(text, &[]), &[]);
    assert_eq!(log.matches("built").count(), 2, "{log}");
    assert_eq!(fsx::read_to_string(&folder.path().join("toy/sum.txt")).unwrap(), "{} x\n{} x\n");
}

#[test]
fn a_target_runs_what_it_needs_and_keeps_the_rest_of_the_lock() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    assert!(run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &["say[seed=b]"]).starts_with("planned 1 of 1\n"));
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    let lock = Lock::read(&folder.path().join("toy")).unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &["say"]);
    assert_eq!(Lock::read(&folder.path().join("toy")).unwrap(), lock);
    let error = Plan::new(
        &keyed(TWO_SEEDS, &[]),
        &store,
        &Wish { targets: vec!["sya".to_owned()], force: Vec::new() },
    )
    .unwrap_err();
    assert!(matches!(error, plan::PlanError::Target(error) if error.hint() == "did you mean 'say'?"));
}

#[test]
fn an_edited_result_is_put_back_and_the_edit_kept() {
    let folder = TempDir::new().unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    let file = folder.path().join("toy/all.txt");
    let original = fsx::read(&file).unwrap();
    fsx::write_atomic(&file, b"mine").unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    assert_eq!(fsx::read(&file).unwrap(), original);
    assert_eq!(fsx::read(&folder.path().join("toy/all.txt.edited")).unwrap(), b"mine");
}

#[test]
fn two_runs_at_once_do_the_work_once() {
    let folder = TempDir::new().unwrap();
    let logs: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let said = logs.iter().map(|log| log.matches("saying").count()).sum::<usize>();
    assert_eq!(said, 2, "{logs:?}");
}

/// A random graph: stage `i` says a word and comes after some of the stages before it; some fail.
fn random_graph() -> impl Strategy<Value = Vec<(bool, Vec<bool>)>> {
    prop::collection::vec(
        (prop::bool::weighted(0.1), prop::collection::vec(prop::bool::weighted(0.3), 12)),
        1..12,
    )
}

fn pipeline_of(graph: &[(bool, Vec<bool>)]) -> String {
    let mut text = "pipeline: toy\nstages:\n".to_owned();
    // Written last to first: the order of the file does not matter.
    for (i, (fails, after)) in graph.iter().enumerate().rev() {
        let after: Vec<_> = (0..i).filter(|j| after[*j]).map(|j| format!("s{j}")).collect();
        let needs = if after.is_empty() {
            String::new()
        } else {
            format!("needs: {{ after: [{}] }}, ", after.join(", "))
        };
        let word = if *fails { "fail".to_owned() } else { format!("w{i}") };
        writeln!(text, "  s{i}: {{ {needs}say: {{ word: {word}, times: {i} }} }}").unwrap();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// A stage starts after all that it needs is built; it ends exactly once; without failures all is built, with one what needs it
    /// is not; and a second run starts nothing that was built.
    #[test]
    fn any_graph_is_run_in_order_and_once(graph in random_graph(), jobs in 1_usize..5) {
        let folder = TempDir::new().unwrap();
        let keyed = keyed(&pipeline_of(&graph), &[]);
        let log = run_with(folder.path(), &keyed, &[], jobs);
        let at = |line: &str| log.lines().position(|l| l.starts_with(line));
        for (i, (_, after)) in graph.iter().enumerate() {
            let ends = log.lines().filter(|l| l.ends_with(&format!(" s{i}")) && l.starts_with("built")
                || l.starts_with(&format!("failed s{i}:")) || l.starts_with(&format!("skipped s{i} "))).count();
            prop_assert_eq!(ends, 1, "s{} in\n{}", i, &log);
            for j in (0..i).filter(|j| after[*j]) {
                if let Some(started) = log.lines().position(|l| l == format!("started s{i}")) {
                    let built = log.lines().position(|l| l == format!("built s{j}"));
                    prop_assert!(built.is_some_and(|built| built < started), "s{} before s{} in\n{}", i, j, &log);
                }
            }
        }
        let is_whole = graph.iter().all(|(fails, _)| !fails);
        prop_assert_eq!(is_whole, at("failed").is_none() && at("skipped").is_none());
        let again = run_with(folder.path(), &keyed, &[], 1);
        for line in log.lines().filter(|line| line.starts_with("built")) {
            let restarted = again.lines().any(|l| l == line.replace("built", "started"));
            prop_assert!(!restarted, "{}\n{}", &log, &again);
        }
    }
}
