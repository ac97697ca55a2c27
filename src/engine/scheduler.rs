//! Runs what a plan says, independent nodes side by side.
//!
//! One thread owns the states; each job runs on a thread of its own and sends exactly one `Done`. Every change of state goes through
//! `Schedule::advance`:
//!
//! ```text
//! Waiting(left) ──the last input ended well──→ Ready ──a place is free──→ Running ──→ Ended(Built | Failed | Interrupted)
//!      └──an input ended badly, or the run stops──→ Ended(Skipped | Interrupted)         Hit ──→ Ended(Cached)
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use crate::engine::event::{Event, Observer};
use crate::engine::job::{self, Job, Message, Settings};
use crate::engine::outcome::Outcome;
use crate::engine::plan::{Plan, Status};
use crate::pipeline::{Keyed, KeyedNode};
use crate::stage::{Artifact, Inputs, StageError};
use crate::store::Store;

enum State {
    Unwanted,
    Waiting { left: usize },
    Ready,
    Running { threads: usize },
    Ended(Outcome),
}

/// Runs the misses of a plan; returns how each wanted node ended, by its place in the graph.
pub fn run(
    keyed: &Keyed,
    plan: Plan,
    store: &Store,
    settings: &Settings<'_>,
    observer: &mut dyn Observer,
) -> Vec<Option<Outcome>> {
    observer.event(&Event::Planned { wanted: plan.wanted(), misses: plan.misses() });
    let (sender, receiver) = channel();
    let mut schedule = Schedule::new(keyed, store, settings, observer);
    schedule.start(plan);
    std::thread::scope(|scope| {
        loop {
            schedule.dispatch(scope, &sender);
            if schedule.running == 0 {
                break;
            }
            schedule.take(&receiver);
        }
    });
    schedule.finish()
}

struct Schedule<'a, 'o> {
    keyed: &'a Keyed,
    store: &'a Store,
    settings: &'a Settings<'a>,
    observer: &'o mut dyn Observer,
    states: Vec<State>,
    users: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
    running: usize,
    threads_used: usize,
    /// The first failure: nothing new is started after it.
    failed: Option<String>,
}

impl<'a, 'o> Schedule<'a, 'o> {
    fn new(
        keyed: &'a Keyed,
        store: &'a Store,
        settings: &'a Settings<'a>,
        observer: &'o mut dyn Observer,
    ) -> Self {
        let mut users = vec![Vec::new(); keyed.nodes.len()];
        for place in 0..keyed.nodes.len() {
            keyed
                .needed(place)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .for_each(|needed| users[needed].push(place));
        }
        let states = keyed.nodes.iter().map(|_| State::Unwanted).collect();
        Self {
            keyed,
            store,
            settings,
            observer,
            states,
            users,
            ready: BTreeSet::new(),
            running: 0,
            threads_used: 0,
            failed: None,
        }
    }

    fn start(&mut self, plan: Plan) {
        let mut hits = Vec::new();
        for (place, status) in plan.statuses.into_iter().enumerate() {
            let is_twin = self.keyed.nodes[place].twin != place;
            match status {
                Status::Unwanted => {}
                Status::Hit(record) => hits.push((place, record)),
                Status::Miss(_) if is_twin => {}
                Status::Miss(_) => {
                    let left = self.keyed.needed(place).collect::<BTreeSet<_>>().len();
                    self.states[place] = State::Waiting { left };
                    if left == 0 {
                        self.advance(place, State::Ready);
                    }
                }
            }
        }
        for (place, record) in hits {
            self.advance(place, State::Ended(Outcome::Cached(record)));
        }
    }

    /// The one place where a state changes.
    fn advance(&mut self, place: usize, to: State) {
        let node = &self.keyed.nodes[place];
        match (&self.states[place], &to) {
            (_, State::Ready) => drop(self.ready.insert(place)),
            (State::Ready, State::Running { threads }) => {
                self.ready.remove(&place);
                self.running += 1;
                self.threads_used += if node.node.work.kind().numeric { *threads } else { 0 };
                self.observer.event(&Event::Started { node, threads: *threads });
            }
            (from, State::Ended(outcome)) => {
                if let State::Running { threads } = from {
                    self.running -= 1;
                    self.threads_used -= if node.node.work.kind().numeric { *threads } else { 0 };
                }
                self.ready.remove(&place);
                self.observer.event(&Event::Ended { node, outcome });
            }
            _ => {}
        }
        let is_done = matches!(&to, State::Ended(outcome) if outcome.record().is_some());
        self.states[place] = to;
        if is_done {
            self.release_users(place);
        }
    }

    fn release_users(&mut self, place: usize) {
        for user in self.users[place].clone() {
            if let State::Waiting { left } = self.states[user] {
                let next = if left == 1 { State::Ready } else { State::Waiting { left: left - 1 } };
                self.advance(user, next);
            }
        }
    }

    fn dispatch<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, sender: &Sender<Message>)
    where
        'a: 'scope,
    {
        let is_stopping = self.failed.is_some() || self.settings.cancelled.load(Ordering::Relaxed);
        while let (false, Some(&place)) = (is_stopping, self.ready.first()) {
            let free_places = self.settings.jobs.saturating_sub(self.running);
            if free_places == 0 {
                break;
            }
            let threads = self.share(place, free_places);
            let job = Job { place, node: &self.keyed.nodes[place], inputs: self.inputs(place), threads };
            self.advance(place, State::Running { threads });
            let (store, settings, sender) = (self.store, self.settings, sender.clone());
            scope.spawn(move || job::run(&job, store, settings, &sender));
        }
    }

    /// Threads for a node that is about to start: numeric ones share those that are free, the others need one for a moment.
    fn share(&self, place: usize, free_places: usize) -> usize {
        let is_numeric = |place: &usize| self.keyed.nodes[*place].node.work.kind().numeric;
        if !is_numeric(&place) {
            return 1;
        }
        let sharing = self.ready.iter().filter(|place| is_numeric(place)).take(free_places).count();
        (self.settings.threads.saturating_sub(self.threads_used) / sharing).max(1)
    }

    fn inputs(&self, place: usize) -> Inputs {
        let artifact = |source: &usize| {
            let node = &self.keyed.nodes[*source];
            let State::Ended(outcome) = &self.states[node.twin] else {
                unreachable!("a stage is ready when its inputs have ended")
            };
            let record = outcome.record().expect("a stage is ready when its inputs ended well");
            let text = crate::pipeline::scalar::text;
            let coordinates =
                node.node.coordinates.iter().map(|(axis, value)| (axis.to_string(), text(value)));
            let digests = record.outputs.iter().map(|output| (output.name.clone(), output.digest)).collect();
            Artifact { files: self.store.files(record), digests, coordinates: coordinates.collect() }
        };
        let slots = self.keyed.nodes[place].node.inputs.iter();
        Inputs(
            slots
                .map(|(slot, sources)| {
                    (slot.name.clone().into_owned(), sources.iter().map(artifact).collect())
                })
                .collect(),
        )
    }

    fn take(&mut self, receiver: &Receiver<Message>) {
        let node = |place: usize| -> &'a KeyedNode { &self.keyed.nodes[place] };
        match receiver.recv().expect("this thread holds a sender too") {
            Message::Reported(place, report) => {
                self.observer.event(&Event::Reported { node: node(place), report: &report });
            }
            Message::Waiting(place) => self.observer.event(&Event::Waiting { node: node(place) }),
            Message::Done(place, result) => {
                let outcome = match result {
                    Ok(record) => Outcome::Built(record),
                    Err(StageError::Cancelled) => Outcome::Interrupted,
                    Err(error) => {
                        self.failed.get_or_insert_with(|| node(place).node.to_string());
                        Outcome::Failed(error)
                    }
                };
                self.advance(place, State::Ended(outcome));
            }
        }
    }

    /// Ends what never ran, and gives every twin the outcome of its first.
    fn finish(mut self) -> Vec<Option<Outcome>> {
        for place in 0..self.states.len() {
            if matches!(self.states[place], State::Waiting { .. } | State::Ready) {
                let outcome = match &self.failed {
                    Some(because) => Outcome::Skipped { because: because.clone() },
                    None => Outcome::Interrupted,
                };
                self.advance(place, State::Ended(outcome));
            }
        }
        let outcomes = self.states.into_iter().map(|state| match state {
            State::Ended(outcome) => Some(outcome),
            _ => None,
        });
        let mut outcomes: Vec<_> = outcomes.collect();
        for (place, node) in self.keyed.nodes.iter().enumerate() {
            if node.twin != place
                && let Some(record) = outcomes[node.twin].as_ref().and_then(Outcome::record)
            {
                outcomes[place] = Some(Outcome::Cached(Arc::clone(record)));
            }
        }
        outcomes
    }
}
