//! What many jobs cost: `make simulate`.
//!
//! The real scheduler and the real follower, on a made-up cluster of 10,000 nodes on which jobs fail in all ways, with a clock of its own.
//! Half of the nodes need another one each. Printed are the time of scheduler and follower for each event (a submission, a start, an end,
//! an answer of the queue), and the memory for each node; the cluster's own time is left out.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers")]

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use layerwise::base::digest::Digest;
use layerwise::engine::executor::{Circumstances, Executor, Task, Told};
use layerwise::engine::{self, Capacity, Event, Observer, Plan, Settings, Wish};
use layerwise::kinds;
use layerwise::pipeline::{self, KeyedNode, Surroundings, Variation};
use layerwise::slurm::Profile;
use layerwise::slurm::executor::request;
use layerwise::slurm::follow::{Fact, Follower, Job, Rules, Wish as Fate};
use layerwise::slurm::simulation::{Faults, Simulation};
use layerwise::stage::{Registry, StageKey};
use layerwise::store::{Provenance, Store, Summary};

const NODES: usize = 10_000;
/// How long to wait for another node before time goes on.
const PATIENCE: Duration = Duration::from_millis(2);
const RULES: Rules = Rules { array: 1000, submitted: 20_000, resubmit: 20 };
const FAULTS: Faults = Faults {
    node: 50,
    preempted: 50,
    exhausted: 0,
    vanished: 10,
    silent: 50,
    away: 20,
    unclear: 100,
    doomed: 0,
};

/// The cluster behind the scheduler's interface.
struct Simulated {
    profile: Profile,
    told: Mutex<Story>,
}

/// What happened.
#[derive(Default, Clone, Copy)]
struct Story {
    events: u64,
    retried: u64,
    virtual_time: Duration,
    follower: Duration,
    /// Time of the cluster itself, and time waited for a scheduler that had nothing more to say.
    outside: Duration,
    most_live: usize,
}

fn summary(key: StageKey) -> Arc<Summary> {
    Arc::new(Summary {
        key,
        content: None,
        kind: String::new(),
        stage: String::new(),
        inputs: None,
        artifact: Digest::of(key.digest().bytes()),
        outputs: Vec::new(),
        started: 0,
        seconds: 0.0,
    })
}

impl Executor for Simulated {
    fn takes(&self, _: &KeyedNode) -> bool {
        true
    }

    fn run(&self, tasks: &Receiver<Task<'_>>, _: Circumstances<'_>, tell: &dyn Fn(Told)) {
        let (mut follower, mut told) = (Follower::new(RULES), Story::default());
        let keys: Arc<Mutex<Vec<Option<StageKey>>>> = Arc::default();
        let known = Arc::clone(&keys);
        let make = move |place: usize| summary(known.lock().unwrap()[place].take().unwrap());
        let mut world = Simulation::new(NODES, 1, FAULTS, make);
        let (request, usual) = (Mutex::new(None), BTreeMap::new());
        loop {
            // Until the scheduler has drawn its conclusions, no time goes by.
            loop {
                match tasks.recv_timeout(PATIENCE) {
                    Ok(task) => {
                        let mut keys = keys.lock().unwrap();
                        if keys.len() <= task.place {
                            keys.resize(task.place + 1, None);
                        }
                        keys[task.place] = Some(task.node.key);
                        let mut request = request.lock().unwrap();
                        let request = request
                            .get_or_insert_with(|| Arc::new(self::request(task.node, &usual, &self.profile)));
                        follower.add(Job {
                            place: task.place,
                            key: task.node.key,
                            request: Arc::clone(request),
                            retries: task.node.node.handling.retries,
                            growths: 0,
                            losses: 0,
                        });
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        told.outside += PATIENCE;
                        break;
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        (told.events, told.virtual_time) = (world.events, world.clock());
                        told.outside += world.spent;
                        *self.told.lock().unwrap() = told;
                        return;
                    }
                }
            }
            let (start, elsewhere) = (Instant::now(), world.spent);
            let mut heard = Vec::new();
            let pause = follower.turn(&mut world, Fate::GoOn, &mut |place, fact| heard.push((place, fact)));
            told.follower += start.elapsed().saturating_sub(world.spent.saturating_sub(elsewhere));
            told.most_live = told.most_live.max(follower.count());
            for (place, fact) in heard {
                match fact {
                    Fact::Done(result) => tell(Told::Done(place, result)),
                    Fact::Retried(error) => {
                        told.retried += 1;
                        tell(Told::Retried(place, error));
                    }
                    Fact::Submitted(name) => tell(Told::Submitted(place, name)),
                    Fact::Started(threads) => tell(Told::Started(place, threads)),
                    Fact::Reported(_) => {}
                }
            }
            world.advance(pause);
        }
    }
}

struct Silence;

impl Observer for Silence {
    fn event(&mut self, _: &Event<'_>) {}
}

/// Bytes of memory, now and at most.
fn memory() -> [u64; 2] {
    let status =
        layerwise::base::fsx::read_to_string(std::path::Path::new("/proc/self/status")).unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() * 1024
    };
    [line("VmRSS:"), line("VmHWM:")]
}

fn simulate(jobs: usize) {
    let values: Vec<String> = (0..jobs / 2).map(|i| i.to_string()).collect();
    let text = format!(
        "pipeline: simulated\nmatrix: {{ i: [{}] }}\nstages:\n  first: {{ command: {{ run: 'echo $i > a', outputs: [a], env: {{ i: $i }} }} }}\n  second: {{ needs: {{ a: first }}, command: {{ run: 'cat $a/a > b', outputs: [b] }} }}\n",
        values.join(",")
    );
    let start = Instant::now();
    let surroundings = Surroundings {
        registry: Registry(kinds::KINDS),
        numerics: "none",
        digest: &|_| unreachable!("no stage reads files"),
        read: &|_| unreachable!("it uses no other"),
    };
    let keyed = pipeline::load("simulated.yaml", &text, &Variation::default(), &surroundings).unwrap();
    drop((text, values));
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let plan = Plan::new(&keyed, &store, &Wish::default()).unwrap();
    let (planned, [before, _]) = (start.elapsed(), memory());
    let settings = Settings {
        root: folder.path(),
        local: None,
        capacity: Capacity { jobs: 1, threads: 1, memory: 0, gpus: 0 },
        keep_going: false,
        cancelled: &AtomicBool::new(false),
        provenance: Provenance::default(),
    };
    let simulated = Simulated { profile: Profile::default(), told: Mutex::default() };
    let start = Instant::now();
    let outcomes = engine::run_on(Some(&simulated), &keyed, &plan, &store, &settings, &mut Silence).unwrap();
    let all = start.elapsed();
    assert!(outcomes.iter().flatten().all(|outcome| outcome.summary().is_some()), "all ended well");
    let (told, [_, peak]) = (*simulated.told.lock().unwrap(), memory());
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / told.events as f64;
    println!(
        "| {jobs} | {} | {} | {:.1} h | {:.1} s | {:.1} s | {:.2} µs | {:.2} µs | {} | {:.0} B |",
        told.events,
        told.retried,
        told.virtual_time.as_secs_f64() / 3600.0,
        planned.as_secs_f64(),
        all.as_secs_f64(),
        micros(all.saturating_sub(told.outside)),
        micros(told.follower),
        told.most_live,
        (peak.saturating_sub(before)) as f64 / jobs as f64,
    );
}

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    println!(
        "| jobs | events | lost and submitted again | time on the cluster | keys and plan | the run, cluster and pauses included | without them, for each event | of which the follower | nodes it held | memory for each node |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    if let [one] = sizes[..] {
        return simulate(one);
    }
    // Each in a process of its own: memory that was used once is not given back.
    for size in [10_000, 100_000, 1_000_000] {
        let program = std::env::current_exe().unwrap();
        let output = std::process::Command::new(program).arg(size.to_string()).output().unwrap();
        print!(
            "{}",
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .skip(2)
                .map(|l| l.to_owned() + "\n")
                .collect::<String>()
        );
    }
}
