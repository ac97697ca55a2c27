//! Submission: what asks for the same goes together, as far as there is room in the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::slurm::batch::Attempt;
use crate::slurm::follow::world::{Fact, Job, Submission, Tell, Theirs, World};
use crate::slurm::follow::{Batch, Follower, Live};
use crate::slurm::request::Request;
use crate::slurm::share::Share;
use crate::stage::{Report, StageError};

/// While the queue is full, this part of it must be free before more is submitted: or arrays would be of one job each.
const PART: usize = 8;
/// How long to wait when there are as many jobs as there may be.
const FULL: Duration = Duration::from_secs(30);

impl Follower {
    pub(super) fn submit<W: World>(&mut self, world: &mut W, tell: Tell<'_, W::Result>) {
        while self.room() > 0 && self.submissions.is_due(world.now()) {
            let room = self.room();
            let Some(mut group) = self.ready.first_entry() else { return };
            let (request, jobs) = (Arc::clone(group.key()), group.get_mut());
            let count = jobs.len().min(request.share.lines(room.min(self.rules.array as usize)));
            let jobs: Vec<Job> = jobs.drain(..count).collect();
            if group.get().is_empty() {
                group.remove();
            }
            self.waiting -= jobs.len();
            self.submit_together(world, &request, jobs, tell);
        }
    }

    /// How many jobs may be submitted now; none if nothing waits, or it is not worth it.
    pub(super) fn room(&self) -> usize {
        let room = self.rules.submitted.saturating_sub(self.jobs);
        let is_worth_it = room >= self.waiting || room >= self.rules.submitted / PART;
        if is_worth_it { room.min(self.waiting) } else { 0 }
    }

    fn submit_together<W: World>(
        &mut self,
        world: &mut W,
        request: &Request,
        jobs: Vec<Job>,
        tell: Tell<'_, W::Result>,
    ) {
        let (batch, mut ours) = (world.name(), Vec::new());
        for job in jobs {
            let attempt = Attempt { batch: batch.clone(), index: ours.len() as u32 };
            match world.reserve(job.key, &attempt) {
                Ok(None) => ours.push(job),
                Ok(Some(theirs)) => self.attach(world, job, theirs, tell),
                Err(error) => tell(job.place, Fact::Done(Err(error))),
            }
        }
        if ours.is_empty() {
            return;
        }
        let now = world.now();
        match world.submit(&batch, request, &ours) {
            Submission::Accepted(job) => self.take_in(batch, Some(job), request.share, ours, tell),
            Submission::Unclear(words) => {
                let text =
                    format!("no answer to its submission ({words}); it will be looked for in the queue");
                tell(ours[0].place, Fact::Reported(Report::Note(text)));
                self.take_in(batch, None, request.share, ours, tell);
                self.submissions.asked(now);
            }
            Submission::Full(words) if !self.live.is_empty() => {
                let text = format!("waits until other jobs have ended: {words}");
                tell(ours[0].place, Fact::Reported(Report::Note(text)));
                self.put_back(world, &batch, ours);
                self.submissions.rest(now + FULL);
            }
            Submission::Full(words) => {
                let hint = "lower 'submitted' in the profile slurm.yaml, or wait until jobs of other runs have ended";
                refuse(world, &batch, ours, (&words, hint), tell);
            }
            Submission::Refused(words, hint) => refuse(world, &batch, ours, (&words, &hint), tell),
        }
        self.queue.hurry(now);
        self.folders.hurry(now);
    }

    fn put_back<W: World>(&mut self, world: &mut W, batch: &str, jobs: Vec<Job>) {
        for (index, job) in jobs.into_iter().enumerate() {
            world.release(job.key, &Attempt { batch: batch.to_owned(), index: index as u32 });
            self.add(job);
        }
    }

    /// Follows what was submitted, or may have been.
    fn take_in<R>(
        &mut self,
        name: String,
        number: Option<u64>,
        share: Share,
        jobs: Vec<Job>,
        tell: Tell<'_, R>,
    ) {
        let batch = self.new_batch(name, number, share);
        for (index, job) in jobs.into_iter().enumerate() {
            self.follow(batch, index as u32, job, tell);
        }
    }

    /// Follows what another run, or an earlier one, submitted.
    fn attach<W: World>(&mut self, world: &mut W, job: Job, theirs: Theirs, tell: Tell<'_, W::Result>) {
        let Theirs { attempt, job: number, share } = theirs;
        let batch = match self.by_name.get(&attempt.batch) {
            Some(batch) => *batch,
            None => self.new_batch(attempt.batch, number, share),
        };
        self.follow(batch, attempt.index, job, tell);
        self.queue.hurry(world.now());
        self.folders.hurry(world.now());
    }

    fn new_batch(&mut self, name: String, job: Option<u64>, share: Share) -> u32 {
        let number = self.next_batch;
        self.next_batch += 1;
        self.by_name.insert(name.clone(), number);
        self.by_job.extend(job.map(|job| (job, number)));
        let unclear = job.is_none().then_some(self.answers);
        let (places, begun) = (BTreeMap::new(), BTreeSet::new());
        self.batches.insert(number, Batch { name, job, unclear, share, places, begun });
        number
    }

    fn follow<R>(&mut self, batch: u32, index: u32, job: Job, tell: Tell<'_, R>) {
        let place = job.place;
        let of = self.batches.get_mut(&batch).expect("it was just made");
        self.jobs += usize::from(!of.has_job(of.share.job(index)));
        of.places.insert(index, place);
        let live = Live {
            job,
            batch,
            index,
            is_running: false,
            is_started: false,
            has_begun: false,
            was_seen_waiting: false,
            seen: self.answers,
            missing: None,
            state: None,
            exit: None,
            end: None,
            post_mortem: None,
            node: String::new(),
            told: false,
            is_unwanted: false,
        };
        if self.batches[&batch].job.is_some() {
            tell(place, Fact::Submitted(self.job_name(&live)));
        }
        self.live.insert(place, live);
    }

    /// Takes a node out of what is followed; returns its job and the attempt that is over.
    pub(super) fn drop_live(&mut self, place: usize) -> Option<(Live, Attempt)> {
        let live = self.live.remove(&place)?;
        self.doubtful.remove(&place);
        let attempt = self.attempt(&live);
        let batch = self.batches.get_mut(&live.batch).expect("a job is of a batch");
        batch.places.remove(&live.index);
        self.jobs -= usize::from(!batch.has_job(batch.share.job(live.index)));
        if batch.places.is_empty()
            && let Some(batch) = self.batches.remove(&live.batch)
        {
            self.by_name.remove(&batch.name);
            if let Some(job) = batch.job {
                self.by_job.remove(&job);
            }
        }
        Some((live, attempt))
    }
}

/// Ends what the cluster does not take.
fn refuse<W: World>(
    world: &mut W,
    batch: &str,
    jobs: Vec<Job>,
    (words, hint): (&str, &str),
    tell: Tell<'_, W::Result>,
) {
    for (index, job) in jobs.into_iter().enumerate() {
        world.release(job.key, &Attempt { batch: batch.to_owned(), index: index as u32 });
        tell(job.place, Fact::Done(Err(StageError::with_hint(words.to_owned(), hint))));
    }
}
