//! The states of a training, kept as parts: what each is called, and how long it stays.
//!
//! The key of state 0 is made from all that it depends on (architecture, seed, data, numerics class, format), the key of state t
//! from the key of state t−1 and what acts in epoch t. So two trainings share their states up to the first epoch in which they
//! differ, whatever their number of epochs, their checkpoints, or the way their schedules are written.
//!
//! | part | of which epochs | how long |
//! | --- | --- | --- |
//! | kept state: parameters, momenta, learning curves | those listed in `checkpoints`, those after which the schedule changes the rate, every tenth, the last | for good |
//! | latest state: the same | each other epoch, when it ends | until a training passes it |
//! | checkpoint: the file | those whose parameters are saved | for good |
//!
//! A latest state has a key apart, so that whoever passes it may remove it, also the one that a killed training left, and never
//! removes what another training keeps. State 0 is not kept: it is a draw. A crash at any moment leaves at most a latest state
//! more, and a part that is missing or damaged costs work, not correctness.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use crate::base::canonical;
use crate::base::digest::{Digest, Fields};
use crate::base::fsx::FileError;
use crate::nn::network::Network;
use crate::nn::state::State;
use crate::nn::train::Settings;
use crate::stage::parts::Parts;

/// Every so many epochs a state is kept, for a change of the schedule that nobody foresees.
const INTERVAL: u32 = 10;

/// Where a training's states and checkpoints are.
pub(super) struct Chain<'a> {
    parts: &'a dyn Parts,
    network: &'a Network,
    /// Identity of each state, from that before the first epoch on.
    states: Vec<Digest>,
    /// Epochs whose states are kept for good.
    kept: BTreeSet<u32>,
}

impl<'a> Chain<'a> {
    /// The chain of so many epochs that begins with a state; the states of `listed` epochs are kept, beside the usual ones.
    pub(super) fn new(
        parts: &'a dyn Parts,
        network: &'a Network,
        first: Digest,
        settings: &Settings,
        epochs: u32,
        listed: &BTreeSet<u32>,
    ) -> Self {
        let acting: Vec<_> = (1..=epochs).map(|epoch| settings.acting(epoch)).collect();
        let mut states = vec![first];
        for acting in &acting {
            let mut fields = Fields::new("layerwise training epoch v1");
            fields.add("state", states[states.len() - 1].bytes());
            let acting = serde_json::to_value(acting).expect("settings are plain data");
            fields.add("acting", &canonical::bytes(&acting));
            states.push(fields.finish());
        }
        let changes = |epoch: u32| acting.get(epoch as usize) != Some(&acting[epoch as usize - 1]);
        let is_kept =
            |epoch: &u32| epoch.is_multiple_of(INTERVAL) || listed.contains(epoch) || changes(*epoch);
        let kept = (1..=epochs).filter(is_kept).collect();
        Self { parts, network, states, kept }
    }

    /// The latest whole state of these epochs.
    pub(super) fn latest(&self, epochs: RangeInclusive<u32>) -> Result<Option<State>, FileError> {
        for epoch in epochs.rev() {
            for key in ["kept", "latest"].map(|part| self.key(part, epoch)) {
                let parts = if self.parts.has(key) { self.parts.read(key)? } else { Vec::new() };
                let mut states = parts.iter().filter_map(|bytes| State::from_bytes(self.network, bytes));
                if let Some(state) = states.find(|state| state.epoch == epoch) {
                    return Ok(Some(state));
                }
            }
        }
        Ok(None)
    }

    /// Stores a state: for good, or until [`Chain::pass`].
    pub(super) fn add(&self, state: &State) -> Result<(), FileError> {
        let part = if self.kept.contains(&state.epoch) { "kept" } else { "latest" };
        self.parts.add(self.key(part, state.epoch), &state.to_bytes())
    }

    /// Lets the state of an epoch go, unless it is kept: the training is at a later one, and that is stored.
    pub(super) fn pass(&self, epoch: u32) -> Result<(), FileError> {
        self.parts.remove(self.key("latest", epoch))
    }

    /// Makes the file of a checkpoint, if it is stored.
    pub(super) fn place_checkpoint(&self, epoch: u32, path: &Path) -> Result<bool, FileError> {
        self.parts.place(self.key("checkpoint", epoch), path)
    }

    /// Stores the file of a checkpoint.
    pub(super) fn add_checkpoint(&self, epoch: u32, bytes: &[u8]) -> Result<(), FileError> {
        self.parts.add(self.key("checkpoint", epoch), bytes)
    }

    fn key(&self, part: &str, epoch: u32) -> Digest {
        let mut fields = Fields::new("layerwise training part v1");
        fields.add("part", part.as_bytes());
        fields.add("state", self.states[epoch as usize].bytes());
        fields.finish()
    }
}
