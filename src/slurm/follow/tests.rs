//! The follower on a made-up cluster: every node ends exactly once, and in the right way, whatever goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::digest::Digest;
use crate::pipeline::spec::{Growth, Retries};
use crate::slurm::share::Share;
use crate::slurm::simulation::{Faults, Simulation};
use crate::stage::StageKey;

const RULES: Rules = Rules { array: 50, submitted: 400, resubmit: 20 };

fn job(place: usize) -> Job {
    let request =
        Request { memory: Some(1 << 20), time: Some(Duration::from_mins(30)), ..Request::default() };
    Job {
        place,
        key: StageKey::from(Digest::of(&place.to_le_bytes())),
        request: Arc::new(Request { cores: Some(1 + place as u32 % 3), ..request }),
        retries: Retries { times: 0, memory: Some(Growth(200)), time: Some(Growth(150)) },
        growths: 0,
        losses: 0,
    }
}

/// What each node came to, and how often it was tried again.
#[derive(Default)]
struct Heard {
    ended: BTreeMap<usize, Result<usize, StageError>>,
    retried: usize,
    notes: Vec<String>,
}

impl Heard {
    fn take(&mut self, place: usize, fact: Fact<usize>) {
        match fact {
            Fact::Done(result) => assert!(self.ended.insert(place, result).is_none(), "{place} ended twice"),
            Fact::Retried(_) => self.retried += 1,
            Fact::Reported(crate::stage::Report::Note(text)) => self.notes.push(text),
            _ => {}
        }
    }

    fn says(&self, place: usize) -> String {
        match &self.ended[&place] {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

/// Follows until all have ended.
fn follow(follower: &mut Follower, world: &mut Simulation<usize>, wish: Wish, heard: &mut Heard) {
    for _ in 0..100_000 {
        if follower.count() == 0 {
            return;
        }
        let pause = follower.turn(world, wish, &mut |place, fact| heard.take(place, fact));
        world.advance(pause);
    }
    panic!("{} nodes never end", follower.count());
}

/// So many of 1,500 nodes one after another in a job, on a cluster where all that may go wrong does.
fn storm(seed: u64, share: Share) {
    let faults = Faults {
        node: 400,
        preempted: 300,
        exhausted: 200,
        vanished: 100,
        silent: 300,
        away: 50,
        unclear: 1000,
        doomed: 200,
    };
    let mut world = Simulation::new(100, seed, faults, |place| place);
    let (mut follower, mut heard) = (Follower::new(RULES), Heard::default());
    for place in 0..1500 {
        let mut job = job(place);
        job.request = Arc::new(Request { share, ..(*job.request).clone() });
        follower.add(job);
    }
    follow(&mut follower, &mut world, Wish::GoOn, &mut heard);
    assert_eq!(heard.ended.len(), 1500);
    let mut exhausted = 0;
    for (place, result) in &heard.ended {
        let is_doomed = world.is_doomed(job(*place).key);
        match result {
            Ok(found) => assert!(found == place && !is_doomed),
            Err(error) if error.to_string().contains("ran out of") => exhausted += 1,
            Err(error) => assert!(is_doomed, "{place}: {error}"),
        }
    }
    assert!(heard.retried > 100 && exhausted < 5, "{} retried, {exhausted} exhausted", heard.retried);
    assert!(follower.batches.is_empty() && follower.by_job.is_empty() && follower.by_name.is_empty());
    assert_eq!(follower.jobs, 0);
}

#[test]
fn every_node_ends_once_and_rightly_whatever_goes_wrong() {
    (0..5).for_each(|seed| storm(seed, Share::default()));
}

#[test]
fn nodes_that_share_a_job_end_as_they_would_alone() {
    let of = |seconds| Share::of(Some(Duration::from_mins(1)), Some(seconds));
    for (seed, seconds) in [(0, 30.0), (1, 8.0), (2, 1.0)] {
        storm(seed, of(seconds));
    }
}

/// Who was not begun when its job ended is not to blame, and what it had asked for is enough.
#[test]
fn what_a_job_did_not_come_to_is_submitted_again_without_a_word() {
    let faults = Faults { exhausted: 3000, ..Faults::default() };
    let mut world = Simulation::new(10, 1, faults, |place| place);
    let (mut follower, mut heard) = (Follower::new(RULES), Heard::default());
    let share = Share::of(Some(Duration::from_mins(1)), Some(6.0));
    for place in (0..60).step_by(3) {
        let mut job = job(place);
        job.retries = Retries::default();
        job.request = Arc::new(Request { share, ..(*job.request).clone() });
        follower.add(job);
    }
    follow(&mut follower, &mut world, Wish::GoOn, &mut heard);
    let failed = heard.ended.values().filter(|result| result.is_err()).count();
    assert!((3..17).contains(&failed) && heard.ended.len() == 20, "{failed} failed");
    assert_eq!(heard.retried, 0, "each failed alone, and nobody else was tried again");
}

#[test]
fn what_is_cancelled_from_outside_is_told_in_words() {
    let mut world = Simulation::new(4, 1, Faults::default(), |place| place);
    let (mut follower, mut heard) = (Follower::new(RULES), Heard::default());
    (0..30).step_by(3).for_each(|place| follower.add(job(place)));
    for _ in 0..30 {
        let pause = follower.turn(&mut world, Wish::GoOn, &mut |place, fact| heard.take(place, fact));
        world.advance(pause.min(Duration::from_secs(2)));
    }
    let (running, (array, last)) = (world.running()[0], world.last_waiting().unwrap());
    world.cancel_one(running.0, running.1);
    world.cancel_one(array, last);
    follow(&mut follower, &mut world, Wish::GoOn, &mut heard);
    assert!(heard.says(0).contains("was cancelled while it ran"), "{}", heard.says(0));
    assert!(heard.says(27).contains("was cancelled while it waited in the queue"), "{}", heard.says(27));
    assert_eq!((3..27).step_by(3).filter(|place| heard.says(*place) == "ok").count(), 8);
}

#[test]
fn after_a_failure_what_runs_may_end_and_nothing_else_starts() {
    let mut world = Simulation::new(3, 1, Faults::default(), |place| place);
    let (mut follower, mut heard) = (Follower::new(Rules { submitted: 6, ..RULES }), Heard::default());
    (0..30).step_by(3).for_each(|place| follower.add(job(place)));
    for _ in 0..10 {
        let pause = follower.turn(&mut world, Wish::GoOn, &mut |place, fact| heard.take(place, fact));
        world.advance(pause.min(Duration::from_secs(2)));
    }
    follow(&mut follower, &mut world, Wish::Finish, &mut heard);
    let ok = heard.ended.values().filter(|result| result.is_ok()).count();
    let cancelled =
        heard.ended.values().filter(|result| matches!(result, Err(StageError::Cancelled))).count();
    assert_eq!((ok, cancelled), (3, 7));
}

#[test]
fn who_comes_later_follows_the_same_jobs() {
    let mut world = Simulation::new(5, 1, Faults::default(), |place| place);
    let (mut first, mut heard) = (Follower::new(RULES), Heard::default());
    (0..30).step_by(3).for_each(|place| first.add(job(place)));
    for _ in 0..10 {
        let pause = first.turn(&mut world, Wish::GoOn, &mut |place, fact| heard.take(place, fact));
        world.advance(pause.min(Duration::from_secs(1)));
    }
    first.turn(&mut world, Wish::Leave, &mut |place, fact| heard.take(place, fact));
    assert!(heard.ended.values().all(|result| matches!(result, Err(StageError::Cancelled))));
    let (mut second, mut heard, before) = (Follower::new(RULES), Heard::default(), world.events);
    (0..30).step_by(3).for_each(|place| second.add(job(place)));
    second.turn(&mut world, Wish::GoOn, &mut |place, fact| heard.take(place, fact));
    assert_eq!(world.events, before + 1, "it asked the queue, and submitted nothing");
    follow(&mut second, &mut world, Wish::GoOn, &mut heard);
    assert!(heard.ended.len() == 10 && heard.ended.values().all(Result::is_ok));
}

#[test]
fn a_controller_that_is_away_is_waited_for_and_told_once() {
    let faults = Faults { away: 10_000, ..Faults::default() };
    let mut world = Simulation::new(5, 1, faults, |place| place);
    let (mut follower, mut heard) = (Follower::new(RULES), Heard::default());
    (0..3).for_each(|place| follower.add(job(place)));
    follow(&mut follower, &mut world, Wish::GoOn, &mut heard);
    assert!(heard.ended.values().all(Result::is_ok), "the folders say what the queue does not");
    let silences = heard.notes.iter().filter(|note| note.contains("does not answer")).count();
    assert_eq!(silences, 1, "{:?}", heard.notes);
}
