//! A made-up cluster with a clock of its own: for tests, and to see what a million jobs cost (`make simulate`).
//!
//! Jobs take their time and end in all the ways that real ones do, by the throw of a seeded coin; the controller goes away for minutes;
//! submissions get no answer though they were accepted, or were not.

mod faults;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::base::rng::{self, Stream};
use crate::slurm::batch::{Attempt, End, Seen};
use crate::slurm::follow::{Job, Submission, Theirs, World};
use crate::slurm::request::Request;
use crate::slurm::share::Share;
use crate::slurm::simulation::faults::Ending;
use crate::slurm::text::{Row, State};
use crate::stage::{Report, StageError, StageKey};

pub use faults::Faults;

/// How long the queue shows a job that has ended.
const REMEMBERED: Duration = Duration::from_mins(5);
/// How long the controller stays away.
const AWAY: Duration = Duration::from_mins(3);

/// The cluster.
pub struct Simulation<R> {
    clock: Duration,
    free: usize,
    stream: Stream,
    faults: Faults,
    make: Box<dyn FnMut(usize) -> R + Send>,
    arrays: BTreeMap<u64, Array>,
    waiting: VecDeque<u64>,
    running: BTreeMap<(u64, u32), Running>,
    ends: BinaryHeap<Reverse<(Duration, u64, u32)>>,
    ended: VecDeque<(Duration, Row)>,
    news: BTreeMap<String, Vec<(u32, Seen)>>,
    open: BTreeMap<StageKey, Attempt>,
    results: BTreeSet<usize>,
    away_until: Duration,
    /// Submissions, starts, ends, and answers of the queue.
    pub events: u64,
    /// Time that went by in here, of the clock on the wall.
    pub spent: Duration,
    next: u64,
}

struct Array {
    batch: String,
    lines: Vec<(usize, StageKey)>,
    share: Share,
    /// Those before it have started, or were cancelled.
    next: u32,
    left: u32,
}

impl Array {
    fn jobs(&self) -> u32 {
        self.share.jobs(self.lines.len()) as u32
    }
}

/// A job, at one of its lines.
#[derive(Debug, Clone, Copy)]
struct Running {
    line: u32,
    ending: Ending,
    /// Whether a line before it failed.
    has_failed: bool,
}

impl<R> Simulation<R> {
    /// A cluster that runs so many jobs at a time; `make` gives the result of the node at a place.
    pub fn new(
        slots: usize,
        seed: u64,
        faults: Faults,
        make: impl FnMut(usize) -> R + Send + 'static,
    ) -> Self {
        Self {
            clock: Duration::ZERO,
            free: slots,
            stream: rng::stream(seed, &["cluster"]),
            faults,
            make: Box::new(make),
            arrays: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            ends: BinaryHeap::new(),
            ended: VecDeque::new(),
            news: BTreeMap::new(),
            open: BTreeMap::new(),
            results: BTreeSet::new(),
            away_until: Duration::ZERO,
            events: 0,
            spent: Duration::ZERO,
            next: 0,
        }
    }

    /// The time that went by on the cluster.
    pub fn clock(&self) -> Duration {
        self.clock
    }

    /// Lets time go by.
    pub fn advance(&mut self, time: Duration) {
        let start = Instant::now();
        let until = self.clock + time.max(Duration::from_millis(1));
        while let Some(Reverse((at, job, index))) =
            self.ends.peek().copied().filter(|Reverse((at, ..))| *at <= until)
        {
            self.ends.pop();
            self.clock = at;
            self.end(job, index);
            self.start_waiting();
        }
        self.clock = until;
        self.start_waiting();
        while self.ended.front().is_some_and(|(at, _)| *at + REMEMBERED < self.clock) {
            self.ended.pop_front();
        }
        self.spent += start.elapsed();
    }

    /// Whether a node is one whose program fails.
    pub fn is_doomed(&self, key: StageKey) -> bool {
        self.faults.doom(key)
    }

    /// Cancels a job from outside, as another shell does; one that waits leaves no trace.
    pub fn cancel_one(&mut self, job: u64, index: u32) {
        self.cancel(&[(job, index)], false);
    }

    /// The jobs that run.
    pub fn running(&self) -> Vec<(u64, u32)> {
        self.running.keys().copied().collect()
    }

    /// The last job of the last array that waits.
    pub fn last_waiting(&self) -> Option<(u64, u32)> {
        let job = self.waiting.back()?;
        Some((*job, self.arrays[job].jobs() - 1))
    }

    fn chance(&mut self, parts: u32) -> bool {
        faults::chance(&mut self.stream, parts)
    }

    fn start_waiting(&mut self) {
        while self.free > 0
            && let Some(job) = self.waiting.front().copied()
        {
            let array = self.arrays.get_mut(&job).expect("it waits");
            let index = array.next;
            array.next += 1;
            if array.next >= array.jobs() {
                self.waiting.pop_front();
            }
            let line = *array.share.lines_of(index..=index).start();
            self.free -= 1;
            self.begin(job, index, line, false);
        }
    }

    /// A job begins a line.
    fn begin(&mut self, job: u64, index: u32, line: u32, has_failed: bool) {
        let array = &self.arrays[&job];
        let (key, batch) = (array.lines[line as usize].1, array.batch.clone());
        self.events += 1;
        let ending = self.faults.draw(&mut self.stream, key);
        let seconds = 60 + self.stream.below(1200);
        self.ends.push(Reverse((self.clock + Duration::from_secs(seconds), job, index)));
        self.running.insert((job, index), Running { line, ending, has_failed });
        self.news.entry(batch).or_default().push((line, Seen::Started));
    }

    /// A line ends, and with the last one, or badly, its job.
    fn end(&mut self, job: u64, index: u32) {
        let Some(Running { line, ending, has_failed }) = self.running.remove(&(job, index)) else { return };
        self.events += 1;
        let place = self.arrays[&job].lines[line as usize].0;
        let (state, end) = match ending {
            Ending::Well => (Some(State::Completed), Some(End::Done)),
            Ending::Silent => (Some(State::Completed), None),
            Ending::Badly(state) => (Some(state), None),
            Ending::Doomed => {
                (Some(State::Failed), Some(End::Failed { error: "it is doomed".to_owned(), hint: None }))
            }
            Ending::Vanished => (None, None),
        };
        if matches!(ending, Ending::Well | Ending::Silent) {
            self.results.insert(place);
        }
        let batch = self.arrays[&job].batch.clone();
        if let Some(end) = end {
            self.news.entry(batch.clone()).or_default().push((line, Seen::Ended(end)));
        }
        let array = &self.arrays[&job];
        let has_failed = has_failed || ending == Ending::Doomed;
        let has_next = ((line + 1) as usize) < array.lines.len() && array.share.job(line + 1) == index;
        if has_next && !matches!(ending, Ending::Badly(_) | Ending::Vanished) {
            return self.begin(job, index, line + 1, has_failed);
        }
        self.free += 1;
        if let Some(state) = state {
            let state = if has_failed && state == State::Completed { State::Failed } else { state };
            self.ended.push_back((self.clock, row(job, index..=index, state, &batch)));
        }
        self.forget(job, 1);
    }

    fn forget(&mut self, job: u64, count: u32) {
        if let Some(array) = self.arrays.get_mut(&job) {
            array.left -= count;
            if array.left == 0 {
                self.arrays.remove(&job);
            }
        }
    }
}

fn row(job: u64, indices: std::ops::RangeInclusive<u32>, state: State, batch: &str) -> Row {
    let nodes = if state == State::Pending { String::new() } else { format!("n{}", job % 10_000) };
    Row {
        job,
        indices: vec![indices],
        state,
        reason: String::new(),
        nodes,
        comment: batch.to_owned(),
        exit: None,
    }
}

impl<R> World for Simulation<R> {
    type Result = R;

    fn now(&self) -> Duration {
        self.clock
    }

    fn name(&mut self) -> String {
        self.next += 1;
        format!("batch-{}", self.next)
    }

    fn reserve(&mut self, key: StageKey, attempt: &Attempt) -> Result<Option<Theirs>, StageError> {
        let start = Instant::now();
        let theirs = self.open.get(&key).cloned();
        if theirs.is_none() {
            self.open.insert(key, attempt.clone());
        }
        self.spent += start.elapsed();
        Ok(theirs.map(|theirs| {
            let found = self.arrays.iter().find(|(_, array)| array.batch == theirs.batch);
            let (job, share) =
                found.map_or((None, Share::default()), |(job, array)| (Some(*job), array.share));
            Theirs { attempt: theirs, job, share }
        }))
    }

    fn release(&mut self, key: StageKey, attempt: &Attempt) {
        let start = Instant::now();
        if self.open.get(&key) == Some(attempt) {
            self.open.remove(&key);
        }
        self.spent += start.elapsed();
    }

    fn submit(&mut self, batch: &str, request: &Request, jobs: &[Job]) -> Submission {
        let start = Instant::now();
        let is_unclear = self.chance(self.faults.unclear) || self.clock < self.away_until;
        if is_unclear && self.chance(5000) {
            return Submission::Unclear("it timed out, and was not accepted".to_owned());
        }
        self.next += 1;
        let (job, share) = (self.next, request.share);
        self.events += jobs.len() as u64;
        let lines = jobs.iter().map(|job| (job.place, job.key)).collect();
        let left = share.jobs(jobs.len()) as u32;
        self.arrays.insert(job, Array { batch: batch.to_owned(), lines, share, next: 0, left });
        self.waiting.push_back(job);
        self.spent += start.elapsed();
        if is_unclear {
            Submission::Unclear("it timed out, and was accepted".to_owned())
        } else {
            Submission::Accepted(job)
        }
    }

    fn queue(&mut self) -> Result<Vec<Row>, String> {
        let start = Instant::now();
        self.events += 1;
        if self.chance(self.faults.away) {
            self.away_until = self.clock + AWAY;
        }
        if self.clock < self.away_until {
            return Err("Unable to contact slurm controller".to_owned());
        }
        let waiting = self.waiting.iter().map(|job| {
            let array = &self.arrays[job];
            row(*job, array.next..=array.jobs() - 1, State::Pending, &array.batch)
        });
        let running = self
            .running
            .keys()
            .map(|(job, index)| row(*job, *index..=*index, State::Running, &self.arrays[job].batch));
        let ended = self.ended.iter().map(|(_, row)| row.clone());
        let rows = waiting.chain(running).chain(ended).collect();
        self.spent += start.elapsed();
        Ok(rows)
    }

    fn history(&mut self, _: &[u64]) -> Vec<Row> {
        Vec::new()
    }

    fn look(&mut self, batch: &str, _: &dyn Fn(u32, bool) -> bool) -> Vec<(u32, Seen)> {
        let start = Instant::now();
        let news = self.news.remove(batch).unwrap_or_default();
        self.spent += start.elapsed();
        news
    }

    fn reports(&mut self, _: &Attempt) -> Vec<Report> {
        Vec::new()
    }

    fn result(&mut self, place: usize, _: Option<&End>) -> Option<R> {
        let start = Instant::now();
        let result = self.results.remove(&place).then(|| (self.make)(place));
        self.spent += start.elapsed();
        result
    }

    fn post_mortem(&mut self, _: Option<u64>, _: &Attempt, _: StageKey) -> (Option<(i32, i32)>, String) {
        (Some((1, 0)), String::new())
    }

    fn cancel(&mut self, jobs: &[(u64, u32)], only_waiting: bool) {
        for (job, index) in jobs {
            if let Some(running) = self.running.get_mut(&(*job, *index)) {
                if !only_waiting {
                    running.ending = Ending::Badly(State::Cancelled);
                    self.ends.push(Reverse((self.clock, *job, *index)));
                }
                continue;
            }
            // An array that loses one of those that wait loses those behind it: enough for tests, which cancel the last.
            let Some(array) =
                self.arrays.get_mut(job).filter(|array| (array.next..array.jobs()).contains(index))
            else {
                continue;
            };
            let lost = array.jobs() - index;
            array.lines.truncate(array.share.lines(*index as usize));
            if array.next >= array.jobs() {
                self.waiting.retain(|waiting| waiting != job);
            }
            self.forget(*job, lost);
        }
    }
}
