//! What the queue shows and what jobs left in their folders.

use std::collections::BTreeSet;

use crate::slurm::batch::{End, Seen};
use crate::slurm::follow::Follower;
use crate::slurm::follow::world::{Fact, Tell, World};
use crate::slurm::text::{Row, State};
use crate::slurm::words;
use crate::stage::Report;

/// In so many answers a job must be missing before the accounting is asked.
const MISSING: u32 = 2;
/// In so many answers a submission without answer must be missing before it counts as not accepted.
const UNHEARD: u64 = 3;

impl Follower {
    /// Asks the queue. No answer says nothing of any job.
    pub(super) fn ask<W: World>(&mut self, world: &mut W, tell: Tell<'_, W::Result>) {
        let rows = match world.queue() {
            Ok(rows) => rows,
            Err(words) => {
                self.note_silence(true, &words, tell);
                return;
            }
        };
        self.note_silence(false, "", tell);
        self.answers += 1;
        for row in &rows {
            self.hear(world, row, tell);
        }
        self.ask_for_missing(world, tell);
        self.give_up_unclear(world);
    }

    fn note_silence<R>(&mut self, is_away: bool, words: &str, tell: Tell<'_, R>) {
        if self.is_away != is_away
            && let Some(place) = self.live.keys().next()
        {
            self.is_away = is_away;
            let text = if is_away {
                format!("the cluster does not answer ({words}); jobs that run go on, and so will this")
            } else {
                "the cluster answers again".to_owned()
            };
            tell(*place, Fact::Reported(Report::Note(text)));
        }
    }

    fn hear<W: World>(&mut self, world: &mut W, row: &Row, tell: Tell<'_, W::Result>) {
        let batch = self.by_job.get(&row.job).copied().or_else(|| {
            // A submission that got no answer, or one of another process: its comment says whose it is.
            let batch = self.by_name.get(&row.comment).copied()?;
            let known = self.batches.get_mut(&batch)?;
            (known.job, known.unclear) = (Some(row.job), None);
            self.by_job.insert(row.job, batch);
            Some(batch)
        });
        let Some(batch) = batch.and_then(|batch| self.batches.get(&batch)) else { return };
        // Of a range, those that are followed: it may be of thousands, a few of which are ours.
        let places: Vec<usize> = row
            .indices
            .iter()
            .flat_map(|range| batch.places.range(batch.share.lines_of(range.clone())))
            .map(|(_, place)| *place)
            .collect();
        for place in places {
            self.hear_of(world, place, row, tell);
        }
    }

    fn hear_of<W: World>(&mut self, world: &mut W, place: usize, row: &Row, tell: Tell<'_, W::Result>) {
        let (now, answers) = (world.now(), self.answers);
        let Some(live) = self.live.get_mut(&place) else { return };
        let share = self.batches[&live.batch].share;
        let index = share.job(live.index);
        (live.seen, live.missing) = (answers, None);
        if !row.nodes.is_empty() {
            row.nodes.clone_into(&mut live.node);
        }
        match row.state {
            // The script ran, or was about to, when the controller died; Slurm would hold the job for ever.
            State::Pending if row.reason == words::HELD_FOR_EVER => {
                world.cancel(&[(row.job, index)], false);
                live.state = Some((State::NodeFailed, now));
                self.doubtful.insert(place);
            }
            State::Pending => {
                live.was_seen_waiting = true;
                (live.is_running, live.is_started) = (false, false);
                let name = format!("{}_{index}", row.job);
                if !live.told
                    && let Some(text) = words::never(&row.reason, &name)
                {
                    live.told = true;
                    tell(place, Fact::Reported(Report::Note(text)));
                }
            }
            State::Running => {
                live.is_running = true;
                // Of many nodes only the job itself says which one has begun.
                if share.is_one() {
                    self.start(place, tell);
                }
            }
            state => {
                if live.state.is_none() {
                    (live.state, live.exit) = (Some((state, now)), row.exit);
                    self.queue.hurry(now);
                }
                self.doubtful.insert(place);
            }
        }
    }

    fn start<R>(&mut self, place: usize, tell: Tell<'_, R>) {
        let Some(live) = self.live.get_mut(&place) else { return };
        live.is_running = true;
        if !std::mem::replace(&mut live.is_started, true) {
            tell(place, Fact::Started(live.job.request.threads()));
        }
    }

    /// Those that the queue showed no more: the accounting may know how they ended.
    fn ask_for_missing<W: World>(&mut self, world: &mut W, tell: Tell<'_, W::Result>) {
        let (now, mut jobs) = (world.now(), BTreeSet::new());
        for (place, live) in &mut self.live {
            if live.seen == self.answers || live.state.is_some() {
                continue;
            }
            let Some(job) = self.batches[&live.batch].job else { continue };
            let (count, _) = live.missing.get_or_insert((0, now));
            *count += 1;
            if *count == MISSING {
                jobs.insert(job);
            }
            self.doubtful.insert(*place);
            self.queue.hurry(now);
        }
        if !jobs.is_empty() {
            for row in world.history(&jobs.into_iter().collect::<Vec<_>>()) {
                // Accounting lags behind: that a job is alive, the queue knows better.
                if !row.state.is_alive() {
                    self.hear(world, &row, tell);
                }
            }
        }
    }

    /// Submissions that nobody answered and the queue does not show were not accepted.
    fn give_up_unclear<W: World>(&mut self, world: &mut W) {
        let answers = self.answers;
        let is_unheard = |unclear: Option<u64>| unclear.is_some_and(|since| answers >= since + UNHEARD);
        // One of which a job began was accepted, whatever the queue shows.
        let unheard =
            self.batches.values().filter(|batch| is_unheard(batch.unclear) && batch.begun.is_empty());
        let places: Vec<usize> = unheard.flat_map(|batch| batch.places.values().copied()).collect();
        for place in places {
            if self.live.get(&place).is_some_and(|live| live.end.is_none())
                && let Some((live, attempt)) = self.drop_live(place)
            {
                world.release(live.job.key, &attempt);
                self.add(live.job);
            }
        }
    }

    /// Reads the folders of all batches.
    pub(super) fn look<W: World>(&mut self, world: &mut W, tell: Tell<'_, W::Result>) {
        let numbers: Vec<u32> = self.batches.keys().copied().collect();
        for number in numbers {
            let batch = &self.batches[&number];
            let is_news = |index: u32, is_end: bool| {
                let live = batch.places.get(&index).and_then(|place| self.live.get(place));
                live.is_some_and(|live| if is_end { live.end.is_none() } else { !live.has_begun })
            };
            for (index, seen) in world.look(&batch.name.clone(), &is_news) {
                let Some(place) = self.batches[&number].places.get(&index).copied() else { continue };
                self.see(world, place, seen, tell);
            }
        }
        self.gather_reports(world, tell);
    }

    fn see<W: World>(&mut self, world: &W, place: usize, seen: Seen, tell: Tell<'_, W::Result>) {
        let now = world.now();
        match seen {
            Seen::Started => {
                self.start(place, tell);
                if let Some(live) = self.live.get_mut(&place) {
                    live.has_begun = true;
                    let batch = self.batches.get_mut(&live.batch).expect("a job is of a batch");
                    batch.begun.insert(batch.share.job(live.index));
                }
            }
            Seen::Ended(end) => {
                if end != End::Done {
                    self.queue.hurry(now); // Slurm's word is wanted too
                }
                self.live.get_mut(&place).into_iter().for_each(|live| live.end = Some((end.clone(), now)));
                self.doubtful.insert(place);
            }
        }
        self.folders.hurry(now);
    }

    fn gather_reports<W: World>(&mut self, world: &mut W, tell: Tell<'_, W::Result>) {
        let begun = self.live.iter().filter(|(_, live)| live.has_begun);
        let begun: Vec<_> = begun.map(|(place, live)| (*place, self.attempt(live))).collect();
        for (place, attempt) in begun {
            for report in world.reports(&attempt) {
                tell(place, Fact::Reported(report));
            }
        }
    }
}
