//! Hands out the nodes that are queued: to the workers those that fit beside what runs, to the executor those that it takes.

use crate::base::digest::Digest;
use crate::engine::capacity::Lack;
use crate::engine::executor::{Executing, Task};
use crate::engine::inputs;
use crate::engine::job::Job;
use crate::engine::plan::{Reason, Status};
use crate::engine::scheduler::{Schedule, State};
use crate::engine::workers::Workers;
use crate::stage::Inputs;

/// How far into the queue a node is looked for that fits beside those that run.
const LOOK_AHEAD: usize = 256;

impl<'a> Schedule<'a, '_> {
    pub(super) fn dispatch(
        &mut self,
        workers: &mut Workers<'_, 'a>,
        mut executing: Option<&mut Executing<'a>>,
    ) {
        let mut skipped = 0;
        while !self.around.stops()
            && let Some(&place) = self.queued.iter().nth(skipped)
        {
            let node = &self.keyed.nodes[place];
            if let Some(executing) = executing.as_mut().filter(|executing| executing.takes(node)) {
                let (inputs, is_forced) = self.reads(place);
                self.advance(place, State::Sent);
                executing.give(Task { place, node, inputs, is_forced });
                continue;
            }
            match self.occupancy.offer(node, || self.sharing()) {
                Ok(offer) => {
                    let job = self.job(place, offer.threads);
                    self.advance(place, State::Given(offer));
                    workers.give(job);
                }
                Err(Lack::Resources) if skipped < LOOK_AHEAD => skipped += 1,
                Err(_) => break,
            }
        }
    }

    /// How many numeric nodes could start now, and so share the free cores.
    fn sharing(&self) -> usize {
        let is_numeric = |place: &&usize| {
            let node = &self.keyed.nodes[**place].node;
            node.work.kind().numeric && node.handling.resources.cores.is_none()
        };
        self.queued.iter().take(LOOK_AHEAD).filter(is_numeric).take(self.occupancy.free_places()).count()
    }

    fn job(&self, place: usize, threads: usize) -> Job<'a> {
        let (digests, is_forced) = self.reads(place);
        let (pipeline, node) = (&self.keyed.pipeline, &self.keyed.nodes[place]);
        Job {
            place,
            pipeline,
            node,
            inputs: self.inputs(place),
            digests,
            threads,
            is_forced,
            counts_kills: false,
        }
    }

    /// Digests of what a node reads, and whether a record of its key would not do.
    fn reads(&self, place: usize) -> (Vec<Digest>, bool) {
        let is_forced = matches!(self.plan.statuses[place], Status::Miss(Reason::Forced | Reason::OtherInput))
            // A record that was made from other bytes does not count.
            || matches!(self.plan.statuses[place], Status::Hit(_));
        (self.digests(place).expect("what a miss needs has ended well"), is_forced)
    }

    fn inputs(&self, place: usize) -> Inputs {
        inputs::gather(self.keyed, place, self.around.store, |source| {
            let State::Ended(outcome) = &self.states[self.keyed.nodes[source].twin] else {
                unreachable!("a stage starts when its inputs have ended")
            };
            outcome.summary().expect("a stage starts when its inputs ended well")
        })
    }
}
