//! What judged jobs lead to: an outcome, or another attempt.

use std::sync::Arc;
use std::time::Duration;

use crate::slurm::batch::Attempt;
use crate::slurm::follow::world::{Fact, Tell, World};
use crate::slurm::follow::{Follower, Live};
use crate::slurm::judge::{FILES, Known, Verdict, judge};
use crate::slurm::request::Request;
use crate::slurm::text::State;
use crate::slurm::words::{self, Corpse};
use crate::stage::StageError;

/// How often a job that ran out of something gets more of it.
const GROWTHS: u32 = 3;
/// A job that was seen waiting, and in so many answers and for so long neither there nor begun, was cancelled.
const GONE: (u32, Duration) = (2, Duration::from_secs(3));

impl Follower {
    /// Judges those that are in doubt.
    pub(super) fn settle<W: World>(&mut self, world: &mut W, tell: Tell<'_, W::Result>) {
        for place in self.doubtful.iter().copied().collect::<Vec<_>>() {
            let Some(live) = self.live.get(&place) else {
                self.doubtful.remove(&place);
                continue;
            };
            let (batch, now) = (&self.batches[&live.batch], world.now());
            let job = Attempt { batch: batch.name.clone(), index: batch.share.job(live.index) };
            let is_bad = live.state.is_some_and(|(state, _)| state != State::Completed);
            let (exit, log) = match &live.post_mortem {
                Some(known) => known.clone(),
                None if is_bad => world.post_mortem(batch.job, &job, live.job.key),
                None => (None, String::new()),
            };
            let post_mortem = is_bad.then(|| (exit, log.clone()));
            let known = Known {
                state: live.state.map(|(state, since)| (state, now.saturating_sub(since))),
                end: live.end.as_ref().map(|(end, since)| (end, now.saturating_sub(*since))),
                exit: exit.or(live.exit),
                log: log.clone(),
            };
            let is_bystander = !batch.share.is_one()
                && !live.has_begun
                && live.end.is_none()
                && batch.begun.contains(&job.index);
            let verdict = match judge(&known) {
                Verdict::Open => missing(live, now),
                // What ended the job was the node that it was at.
                Verdict::OutOfMemory | Verdict::OutOfTime | Verdict::Failed { .. } if is_bystander => {
                    Verdict::Left
                }
                verdict => verdict,
            };
            if let Some(live) = self.live.get_mut(&place) {
                live.post_mortem = post_mortem;
            }
            self.act(world, place, verdict, log, tell);
        }
    }

    fn act<W: World>(
        &mut self,
        world: &mut W,
        place: usize,
        verdict: Verdict,
        log: String,
        tell: Tell<'_, W::Result>,
    ) {
        let live = &self.live[&place];
        let corpse = Corpse {
            job: self.job_name(live),
            node: live.node.clone(),
            request: Arc::clone(&live.job.request),
            log,
            had_begun: live.has_begun || live.is_running,
        };
        let (retries, request) = (live.job.retries, Arc::clone(&live.job.request));
        let may_grow = live.job.growths < GROWTHS;
        let is_wordless = live.end.is_none() && !matches!(verdict, Verdict::Open | Verdict::Done);
        // Whatever became of its job: a node whose record is there is done.
        if is_wordless && let Some(result) = world.result(place, None) {
            return self.end(world, place, Ok(result), tell);
        }
        match verdict {
            Verdict::Open => {
                // One that the queue shows again is in no doubt.
                if live.state.is_none() && live.end.is_none() && live.missing.is_none() {
                    self.doubtful.remove(&place);
                }
            }
            Verdict::Done => match world.result(place, live.end.as_ref().map(|(end, _)| end)) {
                Some(result) => self.end(world, place, Ok(result), tell),
                None if self.waited(world.now(), place) < FILES => {}
                None => self.end(world, place, Err(words::no_result(&corpse)), tell),
            },
            _ if live.is_unwanted => self.end(world, place, Err(StageError::Cancelled), tell),
            Verdict::Failed { error, hint } => {
                self.end(world, place, Err(words::failed(&corpse, &error, hint)), tell);
            }
            Verdict::Left => self.put_off(world, place, tell),
            Verdict::Cancelled => self.end(world, place, Err(words::cancelled(&corpse)), tell),
            Verdict::OutOfMemory => {
                let more =
                    retries.memory.filter(|_| may_grow).and_then(|growth| request.with_more_memory(growth));
                let error = words::out_of_memory(&corpse, more.as_ref());
                self.again_or_end(world, place, more, true, error, tell);
            }
            Verdict::OutOfTime => {
                let more =
                    retries.time.filter(|_| may_grow).and_then(|growth| request.with_more_time(growth));
                let error = words::out_of_time(&corpse, more.as_ref());
                self.again_or_end(world, place, more, true, error, tell);
            }
            Verdict::Lost { why, is_the_node } => {
                let is_left = live.job.losses < self.rules.resubmit;
                let node = if is_the_node { corpse.node.as_str() } else { "" };
                let again = is_left.then(|| request.elsewhere(node));
                let error = words::lost(&corpse, &why, again.is_some());
                self.again_or_end(world, place, again, false, error, tell);
            }
        }
    }

    /// How long ago it ended, by whoever said so last.
    fn waited(&self, now: Duration, place: usize) -> Duration {
        let live = &self.live[&place];
        let since = live.end.as_ref().map(|(_, since)| *since).max(live.state.map(|(_, since)| since));
        now.saturating_sub(since.unwrap_or(now))
    }

    #[expect(clippy::too_many_arguments, reason = "the world and who is told go through all of these")]
    fn again_or_end<W: World>(
        &mut self,
        world: &mut W,
        place: usize,
        again: Option<Request>,
        is_growth: bool,
        error: StageError,
        tell: Tell<'_, W::Result>,
    ) {
        let Some(request) = again else { return self.end(world, place, Err(error), tell) };
        if self.has_cancelled {
            return self.end(world, place, Err(error), tell);
        }
        let Some((live, attempt)) = self.drop_live(place) else { return };
        world.release(live.job.key, &attempt);
        tell(place, Fact::Retried(error));
        let mut job = live.job;
        job.request = Arc::new(request);
        if is_growth {
            job.growths += 1;
        } else {
            job.losses += 1;
        }
        self.add(job);
    }

    /// Submits a node again whose turn did not come: neither is it to blame, nor is there anything to tell.
    fn put_off<W: World>(&mut self, world: &mut W, place: usize, tell: Tell<'_, W::Result>) {
        if self.has_cancelled {
            return self.end(world, place, Err(StageError::Cancelled), tell);
        }
        if let Some((live, attempt)) = self.drop_live(place) {
            world.release(live.job.key, &attempt);
            self.add(live.job);
        }
    }

    fn end<W: World>(
        &mut self,
        world: &mut W,
        place: usize,
        result: Result<W::Result, StageError>,
        tell: Tell<'_, W::Result>,
    ) {
        if let Some((live, attempt)) = self.drop_live(place) {
            if live.has_begun {
                for report in world.reports(&attempt) {
                    tell(place, Fact::Reported(report));
                }
            }
            world.release(live.job.key, &attempt);
            tell(place, Fact::Done(result));
        }
    }
}

/// A job of which neither the queue nor the accounting nor the job itself says anything.
fn missing(live: &Live, now: Duration) -> Verdict {
    let Some((count, since)) = live.missing.filter(|_| live.state.is_none() && live.end.is_none()) else {
        return Verdict::Open;
    };
    let gone = now.saturating_sub(since);
    if live.was_seen_waiting && !live.has_begun && !live.is_running && count >= GONE.0 && gone >= GONE.1 {
        return Verdict::Cancelled;
    }
    if gone < FILES {
        return Verdict::Open;
    }
    Verdict::Lost { why: "it vanished from the queue without a word".to_owned(), is_the_node: false }
}
