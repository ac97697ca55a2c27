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

/// Why a stage cannot start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// Enough stages run.
    Place,
    /// Cores, memory or GPUs are in use.
    Resources,
}

/// Counts what is in use.
#[derive(Debug)]
pub(super) struct Occupancy {
    capacity: Capacity,
    /// Stages that run, or are the next to.
    given: usize,
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
        Self { capacity, given: 0, used: Use::default() }
    }

    /// How many more stages may start at once.
    pub(super) fn free_places(&self) -> usize {
        self.capacity.jobs.saturating_sub(self.given)
    }

    /// What a node would occupy if it were given to the workers now. Numeric nodes that do not say how many cores they take share
    /// the free ones with `sharing() - 1` others.
    ///
    /// What occupies nothing is given before its time: a worker that ends one such stage begins the next at once, and many are over
    /// sooner than a message is there.
    pub(super) fn offer(&self, node: &KeyedNode, sharing: impl Fn() -> usize) -> Result<Use, Lack> {
        let needs = &node.node.handling.resources;
        let free = self.capacity.threads.saturating_sub(self.used.cores);
        let (cores, threads) = match needs.cores {
            Some(cores) => (cores, cores),
            // More of them than cores would only be in each other's way.
            None if node.node.work.kind().numeric && free == 0 => return Err(Lack::Resources),
            None if node.node.work.kind().numeric => {
                let share = (free / sharing().max(1)).max(1);
                (share, share)
            }
            None => (0, 1),
        };
        let offer = Use { cores, memory: needs.memory, gpus: needs.gpu, threads };
        let fits = cores <= free
            && self.used.memory + offer.memory <= self.capacity.memory
            && self.used.gpus + offer.gpus <= self.capacity.gpus;
        let ahead = if offer == (Use { threads, ..Use::default() }) { self.capacity.jobs } else { 0 };
        if self.given >= self.capacity.jobs + ahead {
            return Err(Lack::Place);
        }
        if fits { Ok(offer) } else { Err(Lack::Resources) }
    }

    pub(super) fn take(&mut self, offer: Use) {
        self.given += 1;
        self.used.cores += offer.cores;
        self.used.memory += offer.memory;
        self.used.gpus += offer.gpus;
    }

    pub(super) fn give_back(&mut self, offer: Use) {
        self.given -= 1;
        self.used.cores -= offer.cores;
        self.used.memory -= offer.memory;
        self.used.gpus -= offer.gpus;
    }
}
