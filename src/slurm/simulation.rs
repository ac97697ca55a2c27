//! A made-up cluster with a clock of its own: for tests, and to see what a million jobs cost (`make simulate`).
//!
//! Jobs take their time and end in all the ways that real ones do, by the throw of a seeded coin; the controller goes away for minutes;
//! submissions get no answer though they were accepted, or were not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::base::rng::{self, Stream};
use crate::slurm::batch::{Attempt, End, Seen};
use crate::slurm::follow::{Job, Submission, World};
use crate::slurm::request::Request;
use crate::slurm::text::{Row, State};
use crate::stage::{Report, StageError, StageKey};

/// How long the queue shows a job that has ended.
const REMEMBERED: Duration = Duration::from_mins(5);
/// How long the controller stays away.
const AWAY: Duration = Duration::from_mins(3);

/// How often what goes wrong, in parts of 10,000.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A node fails under a job.
    pub node: u32,
    /// A job gives way to another.
    pub preempted: u32,
    /// A job runs out of memory, or of time.
    pub exhausted: u32,
    /// A job is gone from the queue when it ends, and left no word.
    pub vanished: u32,
    /// A job's own word cannot be seen, only its result.
    pub silent: u32,
    /// The controller goes away when it is asked.
    pub away: u32,
    /// A submission gets no answer.
    pub unclear: u32,
    /// Of all nodes, those whose program fails whatever is done.
    pub doomed: u32,
}

/// The cluster.
pub struct Simulation<R> {
    clock: Duration,
    free: usize,
    stream: Stream,
    faults: Faults,
    make: Box<dyn FnMut(usize) -> R + Send>,
    arrays: BTreeMap<u64, Array>,
    waiting: VecDeque<u64>,
    running: BTreeMap<(u64, u32), Ending>,
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
    jobs: Vec<(usize, StageKey)>,
    /// Those before it have started, or were cancelled.
    next: u32,
    left: u32,
}

/// How a job will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Well,
    Silent,
    Badly(State),
    Doomed,
    Vanished,
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
        let digest = key.digest();
        let bytes = digest.bytes();
        u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) % 10_000 < self.faults.doomed
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
        Some((*job, self.arrays[job].jobs.len() as u32 - 1))
    }

    fn chance(&mut self, parts: u32) -> bool {
        parts > 0 && self.stream.below(10_000) < u64::from(parts)
    }

    fn start_waiting(&mut self) {
        while self.free > 0
            && let Some(job) = self.waiting.front().copied()
        {
            let array = self.arrays.get_mut(&job).expect("it waits");
            let index = array.next;
            array.next += 1;
            if array.next as usize >= array.jobs.len() {
                self.waiting.pop_front();
            }
            let key = array.jobs[index as usize].1;
            let batch = array.batch.clone();
            self.free -= 1;
            self.events += 1;
            let ending = self.ending(key);
            let seconds = 60 + self.stream.below(1200);
            self.ends.push(Reverse((self.clock + Duration::from_secs(seconds), job, index)));
            self.running.insert((job, index), ending);
            self.news.entry(batch).or_default().push((index, Seen::Started));
        }
    }

    fn ending(&mut self, key: StageKey) -> Ending {
        let faults = self.faults;
        for (parts, ending) in [
            (faults.node, Ending::Badly(State::NodeFailed)),
            (faults.preempted, Ending::Badly(State::Preempted)),
            (faults.exhausted, Ending::Badly(State::OutOfMemory)),
            (faults.exhausted, Ending::Badly(State::TimedOut)),
            (faults.vanished, Ending::Vanished),
        ] {
            if self.chance(parts) {
                return ending;
            }
        }
        if self.is_doomed(key) {
            Ending::Doomed
        } else if self.chance(faults.silent) {
            Ending::Silent
        } else {
            Ending::Well
        }
    }

    fn end(&mut self, job: u64, index: u32) {
        let Some(ending) = self.running.remove(&(job, index)) else { return };
        self.free += 1;
        self.events += 1;
        let place = self.arrays[&job].jobs[index as usize].0;
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
            self.news.entry(batch.clone()).or_default().push((index, Seen::Ended(end)));
        }
        if let Some(state) = state {
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

    fn reserve(
        &mut self,
        key: StageKey,
        attempt: &Attempt,
    ) -> Result<Option<(Attempt, Option<u64>)>, StageError> {
        let start = Instant::now();
        let theirs = self.open.get(&key).cloned();
        if theirs.is_none() {
            self.open.insert(key, attempt.clone());
        }
        self.spent += start.elapsed();
        Ok(theirs.map(|theirs| {
            let job = self.arrays.iter().find(|(_, array)| array.batch == theirs.batch);
            (theirs.clone(), job.map(|(job, _)| *job))
        }))
    }

    fn release(&mut self, key: StageKey, attempt: &Attempt) {
        let start = Instant::now();
        if self.open.get(&key) == Some(attempt) {
            self.open.remove(&key);
        }
        self.spent += start.elapsed();
    }

    fn submit(&mut self, batch: &str, _: &Request, jobs: &[Job]) -> Submission {
        let start = Instant::now();
        let is_unclear = self.chance(self.faults.unclear) || self.clock < self.away_until;
        if is_unclear && self.chance(5000) {
            return Submission::Unclear("it timed out, and was not accepted".to_owned());
        }
        self.next += 1;
        let (job, count) = (self.next, jobs.len() as u32);
        let jobs = jobs.iter().map(|job| (job.place, job.key)).collect();
        self.arrays.insert(job, Array { batch: batch.to_owned(), jobs, next: 0, left: count });
        self.waiting.push_back(job);
        self.events += u64::from(count);
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
            row(*job, array.next..=array.jobs.len() as u32 - 1, State::Pending, &array.batch)
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
            if let Some(ending) = self.running.get_mut(&(*job, *index)) {
                if !only_waiting {
                    *ending = Ending::Badly(State::Cancelled);
                    self.ends.push(Reverse((self.clock, *job, *index)));
                }
                continue;
            }
            // An array that loses one of those that wait loses those behind it: enough for tests, which cancel the last.
            let Some(array) = self
                .arrays
                .get_mut(job)
                .filter(|array| (array.next..array.jobs.len() as u32).contains(index))
            else {
                continue;
            };
            let lost = array.jobs.len() as u32 - index;
            array.jobs.truncate(*index as usize);
            if array.next as usize >= array.jobs.len() {
                self.waiting.retain(|waiting| waiting != job);
            }
            self.forget(*job, lost);
        }
    }
}
