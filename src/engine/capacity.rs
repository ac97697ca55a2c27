//! What the machine has, and how much of it is in use.

use crate::pipeline::KeyedNode;

/// What a run may occupy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Stages side by side.
    pub jobs: usize,
    /// Cores.
    pub threads: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// GPUs.
    pub gpus: u32,
}

/// What a stage occupies while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Use {
    /// Cores that are counted: a stage that says nothing of them and is not numeric needs one for moments only.
    cores: usize,
    memory: u64,
    gpus: u32,
    /// Threads that the stage is told to use.
    pub(super) threads: usize,
}

/// A stage asks for more than there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stage '{stage}' needs {needed} {what}, and this run has {present}")]
pub struct TooMuch {
    /// The node.
    pub stage: String,
    /// `cores`, `bytes of memory`, `GPUs`.
    pub what: &'static str,
    /// How much it needs.
    pub needed: u64,
    /// How much there is.
    pub present: u64,
    /// What to do.
    pub hint: &'static str,
}

/// Counts what is in use.
#[derive(Debug)]
pub(super) struct Occupancy {
    capacity: Capacity,
    running: usize,
    used: Use,
}

impl Capacity {
    /// Whether a node could run if it were alone.
    pub(super) fn check(&self, node: &KeyedNode) -> Result<(), TooMuch> {
        let needs = &node.node.handling.resources;
        let rows = [
            ("cores", needs.cores.unwrap_or(0) as u64, self.threads as u64, "give more with '--threads N'"),
            ("bytes of memory", needs.memory, self.memory, "give more with '--memory SIZE'"),
            ("GPUs", u64::from(needs.gpu), u64::from(self.gpus), "give more with '--gpus N'"),
        ];
        match rows.into_iter().find(|(_, needed, present, _)| needed > present) {
            Some((what, needed, present, hint)) => {
                Err(TooMuch { stage: node.node.to_string(), what, needed, present, hint })
            }
            None => Ok(()),
        }
    }
}

impl Occupancy {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { capacity, running: 0, used: Use::default() }
    }

    /// How many more stages may start.
    pub(super) fn free_places(&self) -> usize {
        self.capacity.jobs.saturating_sub(self.running)
    }

    /// What a node would occupy if it started now, or `None` if there is no room for it. Numeric nodes that do not say how many
    /// cores they take share the free ones with `sharing - 1` others.
    pub(super) fn offer(&self, node: &KeyedNode, sharing: usize) -> Option<Use> {
        let needs = &node.node.handling.resources;
        let free = self.capacity.threads.saturating_sub(self.used.cores);
        let (cores, threads) = match needs.cores {
            Some(cores) => (cores, cores),
            // More of them than cores would only be in each other's way.
            None if node.node.work.kind().numeric && free == 0 => return None,
            None if node.node.work.kind().numeric => {
                let share = (free / sharing.max(1)).max(1);
                (share, share)
            }
            None => (0, 1),
        };
        let offer = Use { cores, memory: needs.memory, gpus: needs.gpu, threads };
        let fits = self.free_places() > 0
            && cores <= free
            && self.used.memory + offer.memory <= self.capacity.memory
            && self.used.gpus + offer.gpus <= self.capacity.gpus;
        fits.then_some(offer)
    }

    pub(super) fn take(&mut self, offer: Use) {
        self.running += 1;
        self.used.cores += offer.cores;
        self.used.memory += offer.memory;
        self.used.gpus += offer.gpus;
    }

    pub(super) fn give_back(&mut self, offer: Use) {
        self.running -= 1;
        self.used.cores -= offer.cores;
        self.used.memory -= offer.memory;
        self.used.gpus -= offer.gpus;
    }
}
