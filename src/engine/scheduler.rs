//! Runs what a plan says, independent nodes side by side.
//!
//! One thread owns the states; jobs run on `Workers` and send exactly one `Done` (or `Refused`) each. Every change of state goes through
//! `Schedule::advance`:
//!
//! ```text
//! Waiting(left) ──the last input ended well──→ decide ──→ Ended(Cached)
//!      │                                         └──→ Queued ──there is room──→ Given | Sent ──→ Ended(Built)
//!      │                                           ↑──────the run stops──────────┴──→ Ended(Failed | Interrupted)
//!      └──an input ended badly, or the run stops──→ Ended(Skipped | Interrupted)
//! ```
//!
//! A node is decided when its inputs are there: a record of its key that was made from these very bytes, or of another execution
//! that read the same, makes it cached.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;

use crate::base::digest::Digest;
use crate::engine::capacity::{Capacity, Occupancy, TooMuch, Use};
use crate::engine::event::{Event, Observer};
use crate::engine::executor::{Executing, Executor};
use crate::engine::flusher;
use crate::engine::job::{Message, Surroundings};
use crate::engine::outcome::Outcome;
use crate::engine::plan::{Plan, Reason, Status};
use crate::engine::workers::Workers;
use crate::pipeline::{Keyed, KeyedNode};
use crate::stage::StageError;
use crate::store::{Provenance, Store, StoreError, Summary};

/// What a run may use, and how it goes about failures; nothing of it affects results.
pub struct Settings<'a> {
    /// The project's folder.
    pub root: &'a Path,
    /// Where the user keeps data.
    pub local: Option<&'a Path>,
    /// What may be occupied.
    pub capacity: Capacity,
    /// Whether stages that do not need the failed one still start.
    pub keep_going: bool,
    /// Set when the user wants to stop.
    pub cancelled: &'a AtomicBool,
    /// What every record of this run says of its origin.
    pub provenance: Provenance,
}

pub(super) enum State {
    Unwanted,
    Waiting {
        left: usize,
    },
    Queued,
    /// It runs, or will as soon as a worker is free.
    Given(Use),
    /// The executor has it.
    Sent,
    Ended(Outcome),
}

/// Runs the misses of a plan here; returns how each wanted node ended, by its place in the graph.
pub fn run(
    keyed: &Keyed,
    plan: &Plan,
    store: &Store,
    settings: &Settings<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Option<Outcome>>, RunError> {
    run_on(None, keyed, plan, store, settings, observer)
}

/// Like [`run`], with an executor for the nodes that it takes.
pub fn run_on(
    executor: Option<&dyn Executor>,
    keyed: &Keyed,
    plan: &Plan,
    store: &Store,
    settings: &Settings<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Option<Outcome>>, RunError> {
    let misses = keyed.nodes.iter().zip(&plan.statuses).filter(|(_, s)| matches!(s, Status::Miss(_)));
    let is_here = |node: &&KeyedNode| !executor.is_some_and(|executor| executor.takes(node));
    misses.map(|(node, _)| node).filter(is_here).try_for_each(|node| settings.capacity.check(node))?;
    // Noted at the start, so that a collection keeps what an interrupted run finished. A store that may only be read takes no note.
    let keys = keyed.nodes.iter().map(|node| node.key).collect();
    let _ = store.note_run(&keyed.pipeline, &keys);
    observer.event(&Event::Planned { wanted: plan.wanted(), misses: plan.misses() });
    let (sender, receiver) = channel();
    let is_failed = AtomicBool::new(false);
    let around = Surroundings { store, settings, is_failed: &is_failed };
    let mut schedule = Schedule::new(keyed, plan, around, observer);
    schedule.start();
    std::thread::scope(|scope| {
        let (end, is_ended) = channel();
        let flusher = scope.spawn(move || flusher::run(store, &is_ended));
        let start = |executor| Executing::start(executor, scope, around, sender.clone());
        let mut executing = executor.map(start);
        let mut workers = Workers::new(scope, around, settings.capacity.jobs, sender);
        loop {
            schedule.dispatch(&mut workers, executing.as_mut());
            if workers.are_idle() && executing.as_ref().is_none_or(Executing::is_idle) {
                break;
            }
            let message = receiver.recv().expect("the workers hold a sender");
            schedule.take(message, &mut workers, executing.as_mut());
        }
        drop((workers, executing, end));
        flusher.join().expect("it does not panic")
    })?;
    Ok(schedule.finish())
}

/// Why a run came to no end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A stage asks for more than there is.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// The disk did not take the results.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) struct Schedule<'a, 'o> {
    pub(super) keyed: &'a Keyed,
    pub(super) plan: &'a Plan,
    pub(super) around: Surroundings<'a>,
    pub(super) observer: &'o mut dyn Observer,
    pub(super) states: Vec<State>,
    /// For each node, those that need it, each once.
    users: Vec<Vec<u32>>,
    /// Nodes whose inputs are there, to be decided.
    undecided: Vec<usize>,
    pub(super) queued: BTreeSet<usize>,
    pub(super) occupancy: Occupancy,
    /// The first failure: nothing new is started after it, unless the user wants to keep going.
    failed: Option<String>,
}

impl<'a, 'o> Schedule<'a, 'o> {
    fn new(
        keyed: &'a Keyed,
        plan: &'a Plan,
        around: Surroundings<'a>,
        observer: &'o mut dyn Observer,
    ) -> Self {
        Self {
            keyed,
            plan,
            around,
            observer,
            states: keyed.nodes.iter().map(|_| State::Unwanted).collect(),
            users: vec![Vec::new(); keyed.nodes.len()],
            undecided: Vec::new(),
            queued: BTreeSet::new(),
            occupancy: Occupancy::new(around.settings.capacity),
            failed: None,
        }
    }

    /// Puts every wanted node in its first state, and decides those that need nothing.
    fn start(&mut self) {
        for (place, status) in self.plan.statuses.iter().enumerate() {
            let node = &self.keyed.nodes[place];
            if *status == Status::Unwanted || node.twin != place {
                continue;
            }
            let is_wanted = |input: &&usize| self.plan.statuses[**input] != Status::Unwanted;
            let needed: BTreeSet<usize> = node.inputs.iter().filter(is_wanted).copied().collect();
            for input in &needed {
                self.users[*input].push(place as u32);
            }
            self.states[place] = State::Waiting { left: needed.len() };
            if needed.is_empty() {
                self.undecided.push(place);
            }
        }
        self.undecided.reverse();
        self.decide_all();
    }

    /// The one place where a state changes.
    pub(super) fn advance(&mut self, place: usize, to: State) {
        let node = &self.keyed.nodes[place];
        match (&self.states[place], &to) {
            (State::Queued, State::Given(offer)) => {
                self.queued.remove(&place);
                self.occupancy.take(*offer);
            }
            (State::Queued, State::Sent) => {
                self.queued.remove(&place);
            }
            (from, State::Queued) => {
                if let State::Given(offer) = from {
                    self.occupancy.give_back(*offer);
                }
                self.queued.insert(place);
            }
            (from, State::Ended(outcome)) => {
                if let State::Given(offer) = from {
                    self.occupancy.give_back(*offer);
                }
                self.queued.remove(&place);
                let is_foreseen = self.plan.statuses[place].summary().is_some();
                self.observer.event(&Event::Ended { node, outcome, is_foreseen });
            }
            _ => {}
        }
        let is_done = matches!(&to, State::Ended(outcome) if outcome.summary().is_some());
        self.states[place] = to;
        if is_done {
            self.release_users(place);
        }
    }

    fn release_users(&mut self, place: usize) {
        for user in std::mem::take(&mut self.users[place]).into_iter().rev() {
            if let State::Waiting { left } = &mut self.states[user as usize] {
                *left -= 1;
                if *left == 0 {
                    self.undecided.push(user as usize);
                }
            }
        }
    }

    pub(super) fn decide_all(&mut self) {
        while let Some(place) = self.undecided.pop() {
            let to = match self.decide(place) {
                Ok(Some(summary)) => State::Ended(Outcome::Cached(summary)),
                Ok(None) => State::Queued,
                Err(error) => self.failure(place, error.into()),
            };
            self.advance(place, to);
        }
    }

    /// Whether a node whose inputs are there is done.
    fn decide(&self, place: usize) -> Result<Option<Arc<Summary>>, StoreError> {
        let node = &self.keyed.nodes[place];
        let digests = self.digests(place);
        match (&self.plan.statuses[place], &digests) {
            // Inputs that nobody asked for cannot contradict.
            (Status::Hit(summary) | Status::Elsewhere(summary), None) => {
                return Ok(Some(Arc::clone(summary)));
            }
            (Status::Hit(summary) | Status::Elsewhere(summary), Some(digests))
                if summary.read_these(digests) =>
            {
                return Ok(Some(Arc::clone(summary)));
            }
            (Status::Miss(Reason::Forced), _) => return Ok(None),
            _ => {}
        }
        let digests = digests.expect("what a miss needs is wanted");
        if digests.is_empty() {
            return Ok(None); // without inputs, the key says all there is to say
        }
        let store = self.around.store;
        let content = node.fields.content_key(digests.iter().copied());
        let Some(same) = store.find_content(content)? else { return Ok(None) };
        if same.key == node.key {
            return Ok(Some(same));
        }
        let stage = format!("{}/{}", self.keyed.pipeline, node.node);
        let provenance = Provenance { stage, ..self.around.settings.provenance.clone() };
        store.adopt(&node.fields, digests, &same, provenance).map(Some)
    }

    /// Digests of the artifacts that a node reads; `None` if one of them is of a node that nobody asked for.
    pub(super) fn digests(&self, place: usize) -> Option<Vec<Digest>> {
        let digest = |input: &usize| match &self.states[*input] {
            State::Ended(outcome) => outcome.summary().map(|summary| summary.artifact),
            _ => None,
        };
        self.keyed.nodes[place].inputs.iter().map(digest).collect()
    }

    fn take(
        &mut self,
        message: Message,
        workers: &mut Workers<'_, 'a>,
        executing: Option<&mut Executing<'a>>,
    ) {
        let node = |place: usize| -> &'a KeyedNode { &self.keyed.nodes[place] };
        match message {
            Message::Started(place) => {
                let State::Given(offer) = &self.states[place] else { unreachable!("it was given") };
                self.observer.event(&Event::Started { node: node(place), threads: offer.threads });
            }
            Message::Refused(place) => {
                workers.take_back();
                self.advance(place, State::Queued);
            }
            Message::Reported(place, report) => {
                self.observer.event(&Event::Reported { node: node(place), report: &report });
            }
            Message::Waiting(place) => self.observer.event(&Event::Waiting { node: node(place) }),
            Message::Retried(place, error) => {
                self.observer.event(&Event::Retried { node: node(place), error: &error });
            }
            Message::Done(place, result) => {
                workers.take_back();
                self.end(place, result);
            }
            Message::Told(told) => self.hear(told, executing),
            Message::Gone(has_panicked) => self.abandon(has_panicked, executing),
        }
    }

    /// A node's work came to this.
    pub(super) fn end(&mut self, place: usize, result: Result<Arc<Summary>, StageError>) {
        let to = match result {
            Ok(summary) => State::Ended(Outcome::Built(summary)),
            Err(StageError::Cancelled) => State::Ended(Outcome::Interrupted),
            Err(error) => self.failure(place, error),
        };
        self.advance(place, to);
        self.decide_all();
    }

    pub(super) fn failure(&mut self, place: usize, error: StageError) -> State {
        self.failed.get_or_insert_with(|| self.keyed.nodes[place].node.to_string());
        State::Ended(Outcome::Failed(error))
    }

    /// Ends what never ran, and gives every twin the outcome of its first.
    fn finish(mut self) -> Vec<Option<Outcome>> {
        for place in 0..self.states.len() {
            if matches!(self.states[place], State::Waiting { .. } | State::Queued) {
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
                && self.plan.statuses[place] != Status::Unwanted
                && let Some(summary) = outcomes[node.twin].as_ref().and_then(Outcome::summary)
            {
                outcomes[place] = Some(Outcome::Cached(Arc::clone(summary)));
            }
        }
        outcomes
    }
}
