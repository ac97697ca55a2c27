//! Follows jobs: what is submitted when, what is asked how often, and when what is heard is believed.
//!
//! A state machine that touches nothing: the cluster and the files are a [`World`], real or made up (`make simulate`). It holds what is in
//! the queue, never more than the profile allows, and of the rest only what is ready; an event costs the same however many there are.
//!
//! ```text
//! ready ──reserved, submitted──→ in the queue ──→ running ──→ judged ──→ done | failed | cancelled
//!   ↑                                 │                         │
//!   └─────────────────────────────────┴──lost, or out of memory or time with more allowed
//! ```

mod hear;
mod settle;
mod submit;
mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use world::{Fact, Job, Rules, Submission, Tell, Theirs, Wish, World};

use crate::slurm::batch::{Attempt, End};
use crate::slurm::pace::Pace;
use crate::slurm::request::Request;
use crate::slurm::share::Share;
use crate::slurm::text::State;
use crate::stage::StageError;

/// How often the queue is asked: first, and at most.
const QUEUE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often folders are read.
const FOLDERS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// With so many jobs more, half as often.
const CROWD: u32 = 1000;

/// Follows jobs.
#[derive(Debug)]
pub struct Follower {
    rules: Rules,
    ready: BTreeMap<Arc<Request>, VecDeque<Job>>,
    waiting: usize,
    live: BTreeMap<usize, Live>,
    /// How many jobs those are: one may do several nodes.
    jobs: usize,
    batches: BTreeMap<u32, Batch>,
    by_job: BTreeMap<u64, u32>,
    by_name: BTreeMap<String, u32>,
    next_batch: u32,
    /// The number of good answers of the queue.
    answers: u64,
    queue: Pace,
    folders: Pace,
    submissions: Pace,
    /// Whether the controller's silence was told.
    is_away: bool,
    /// Whether what waits in the queue was cancelled.
    has_cancelled: bool,
    /// Those to be judged, now or again when time has passed.
    doubtful: BTreeSet<usize>,
}

/// A node that has a job, or will have when the cluster answers.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each was seen or told by itself")]
struct Live {
    job: Job,
    batch: u32,
    /// The line of the batch.
    index: u32,
    /// Whether its job runs, and whether it was told that it does itself.
    is_running: bool,
    is_started: bool,
    /// Whether the job itself said that it began.
    has_begun: bool,
    was_seen_waiting: bool,
    /// In which answer of the queue it was seen last.
    seen: u64,
    /// In how many answers since it was missing, and since when.
    missing: Option<(u32, Duration)>,
    /// How Slurm says that it ended, and since when that is known.
    state: Option<(State, Duration)>,
    /// Exit code and signal, as the accounting has them.
    exit: Option<(i32, i32)>,
    /// What it says itself.
    end: Option<(End, Duration)>,
    /// Exit code and signal, and the end of its log, once it ended.
    post_mortem: Option<(Option<(i32, i32)>, String)>,
    node: String,
    /// The reason for waiting that was told.
    told: bool,
    /// Whether it was cancelled by us.
    is_unwanted: bool,
}

/// What was submitted together.
#[derive(Debug)]
struct Batch {
    name: String,
    /// The array's number, if Slurm has said it.
    job: Option<u64>,
    /// If that is not certain: since which answer of the queue.
    unclear: Option<u64>,
    share: Share,
    /// The nodes that are followed, by their lines.
    places: BTreeMap<u32, usize>,
    /// Jobs of which a line has begun.
    begun: BTreeSet<u32>,
}

impl Batch {
    /// Whether a line of a job is followed.
    fn has_job(&self, job: u32) -> bool {
        self.places.range(self.share.lines_of(job..=job)).next().is_some()
    }
}

impl Follower {
    /// Nothing to follow yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            ready: BTreeMap::new(),
            waiting: 0,
            live: BTreeMap::new(),
            jobs: 0,
            batches: BTreeMap::new(),
            by_job: BTreeMap::new(),
            by_name: BTreeMap::new(),
            next_batch: 0,
            answers: 0,
            queue: Pace::new(QUEUE.0, QUEUE.1),
            folders: Pace::new(FOLDERS.0, FOLDERS.1),
            submissions: Pace::new(QUEUE.0, QUEUE.1),
            is_away: false,
            has_cancelled: false,
            doubtful: BTreeSet::new(),
        }
    }

    /// Takes a node.
    pub fn add(&mut self, job: Job) {
        self.waiting += 1;
        self.ready.entry(Arc::clone(&job.request)).or_default().push_back(job);
    }

    /// How many nodes it has.
    pub fn count(&self) -> usize {
        self.waiting + self.live.len()
    }

    /// Does what is to be done now; returns how long there is nothing to do.
    pub fn turn<W: World>(&mut self, world: &mut W, wish: Wish, tell: Tell<'_, W::Result>) -> Duration {
        match wish {
            Wish::GoOn => self.submit(world, tell),
            Wish::Finish => self.finish(world, tell),
            Wish::Leave | Wish::Cancel => {
                self.go_away(world, wish == Wish::Cancel, tell);
                return Duration::ZERO;
            }
        }
        if !self.live.is_empty() {
            let crowd = 1 + self.live.len() as u32 / CROWD;
            self.queue.set_first(QUEUE.0 * crowd);
            self.folders.set_first(FOLDERS.0 * crowd);
            if self.folders.is_due(world.now()) {
                self.look(world, tell);
                self.folders.asked(world.now());
            }
            if self.queue.is_due(world.now()) {
                self.ask(world, tell);
                self.queue.asked(world.now());
            }
            self.settle(world, tell);
        }
        let now = world.now();
        let submissions = if self.room() > 0 { self.submissions.left(now) } else { QUEUE.1 };
        if self.live.is_empty() {
            return submissions;
        }
        self.queue.left(now).min(self.folders.left(now)).min(submissions)
    }

    /// Starts nothing new: what waits here or in the queue is given up.
    fn finish<W: World>(&mut self, world: &mut W, tell: Tell<'_, W::Result>) {
        self.give_up_waiting(tell);
        if std::mem::replace(&mut self.has_cancelled, true) {
            return;
        }
        let mut jobs = BTreeSet::new();
        for live in self.live.values_mut().filter(|live| !live.is_running) {
            live.is_unwanted = true;
            let batch = &self.batches[&live.batch];
            jobs.extend(batch.job.map(|job| (job, batch.share.job(live.index))));
        }
        world.cancel(&jobs.into_iter().collect::<Vec<_>>(), true);
        self.queue.hurry(world.now());
    }

    fn go_away<W: World>(&mut self, world: &mut W, cancels: bool, tell: Tell<'_, W::Result>) {
        self.give_up_waiting(tell);
        if cancels {
            let job = |live: &Live| {
                let batch = &self.batches[&live.batch];
                Some((batch.job?, batch.share.job(live.index)))
            };
            let jobs: BTreeSet<_> = self.live.values().filter_map(job).collect();
            world.cancel(&jobs.into_iter().collect::<Vec<_>>(), false);
        }
        for (place, live) in std::mem::take(&mut self.live) {
            if cancels {
                world.release(live.job.key, &self.attempt(&live));
            }
            tell(place, Fact::Done(Err(StageError::Cancelled)));
        }
        self.batches.clear();
        self.jobs = 0;
    }

    fn give_up_waiting<R>(&mut self, tell: Tell<'_, R>) {
        self.waiting = 0;
        for job in std::mem::take(&mut self.ready).into_values().flatten() {
            tell(job.place, Fact::Done(Err(StageError::Cancelled)));
        }
    }

    fn attempt(&self, live: &Live) -> Attempt {
        Attempt { batch: self.batches[&live.batch].name.clone(), index: live.index }
    }

    /// What Slurm calls the job of a node.
    fn job_name(&self, live: &Live) -> String {
        let batch = &self.batches[&live.batch];
        let index = batch.share.job(live.index);
        match batch.job {
            Some(job) => format!("{job}_{index}"),
            None => format!("{} {index}", batch.name),
        }
    }
}

#[cfg(test)]
mod tests;
