//! Kinds of work for tests, and runs of them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::base::fsx;
use crate::pipeline::{self, Keyed, Surroundings, Variation};
use crate::stage::{ArtifactType, Context, Inputs, Kind, Registry, Report, Slot, Stage, StageError};
use crate::store::{Provenance, Store};

const TEXT: ArtifactType = ArtifactType("text");

/// What the word `count` writes: something else each time, as no stage should.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Writes a word; can be told to fail or to panic, or to count. At the word `stop` the log acts as if the user had pressed Ctrl-C.
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
            "count" => {
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                return Ok(fsx::write_atomic(&context.out.join("text.txt"), &count.to_le_bytes())?);
            }
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

/// Writes who it is, and a number: the sum of the inputs' numbers and its own, modulo 3. The salt changes nothing but the key.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sum {
    id: usize,
    add: u32,
    salt: u32,
}

impl Stage for Sum {
    const KIND: &'static str = "sum";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "sums numbers";
    const SLOTS: &'static [Slot] = &[Slot::any("of", TEXT)];
    const OUTPUT: ArtifactType = TEXT;

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        context.note("summing");
        let mut sum = self.add;
        for input in inputs.many("of") {
            let text = fsx::read_to_string(input.path("text.txt")?)?;
            sum += text.rsplit(' ').next().unwrap_or_default().parse::<u32>()?;
        }
        Ok(fsx::write_atomic(&context.out.join("text.txt"), format!("{} {}", self.id, sum % 3).as_bytes())?)
    }
}

static TOYS: &[Kind] = &[Kind::of::<Say>(), Kind::of::<Join>(), Kind::of::<Sum>()];

pub(super) const TWO_SEEDS: &str = "
pipeline: toy
matrix: { seed: [a, b] }
stages:
  say: { say: { word: $seed } }
  all: { needs: { texts: say }, join: {} }
";

#[derive(Default)]
pub(super) struct Log {
    pub(super) text: String,
    pub(super) stop: Arc<AtomicBool>,
}

impl Observer for Log {
    fn event(&mut self, event: &Event<'_>) {
        let line = match event {
            Event::Planned { wanted, misses } => format!("planned {misses} of {wanted}"),
            Event::Submitted { node, job } => format!("submitted {} as {job}", node.node),
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

pub(super) fn keyed(text: &str, overrides: &[&str]) -> Keyed {
    let overrides = overrides.iter().map(|o| o.parse().unwrap()).collect();
    let variation = Variation { scale: None, overrides };
    let surroundings = Surroundings {
        registry: Registry(TOYS),
        numerics: "toy",
        digest: &|_| unreachable!("no toy reads files"),
        read: &|_| unreachable!("no pipeline uses another"),
    };
    pipeline::load("toy.yaml", text, &variation, &surroundings).unwrap()
}

/// Runs a pipeline and returns the log; publishes if all went well.
pub(super) fn run_in(folder: &Path, keyed: &Keyed, targets: &[&str]) -> String {
    run_with(folder, keyed, targets, 1)
}

pub(super) fn run_with(folder: &Path, keyed: &Keyed, targets: &[&str], jobs: usize) -> String {
    let wish = Wish { targets: targets.iter().map(ToString::to_string).collect(), force: Vec::new() };
    run_wish(folder, keyed, &wish, jobs).0
}

pub(super) fn run_wish(
    folder: &Path,
    keyed: &Keyed,
    wish: &Wish,
    jobs: usize,
) -> (String, Vec<Option<Outcome>>) {
    let store = Store::open(&folder.join("store")).unwrap();
    let plan = Plan::new(keyed, &store, wish).unwrap();
    let mut log = Log::default();
    let stop = Arc::clone(&log.stop);
    let capacity = Capacity { jobs, threads: 1, memory: 1000, gpus: 0 };
    let settings = Settings {
        root: folder,
        local: None,
        capacity,
        keep_going: false,
        cancelled: &stop,
        provenance: Provenance::default(),
    };
    let outcomes = run(keyed, &plan, &store, &settings, &mut log).unwrap();
    if outcomes.iter().flatten().all(|outcome| outcome.summary().is_some()) {
        publish::publish(keyed, &outcomes, &store, &folder.join("toy")).unwrap();
    }
    (log.text, outcomes)
}
