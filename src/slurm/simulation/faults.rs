//! What goes wrong, and how often.

use crate::base::rng::Stream;
use crate::slurm::text::State;
use crate::stage::StageKey;

/// How often what goes wrong, in parts of 10,000.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A node fails under a job.
    pub node: u32,
    /// A job gives way to another.
    pub preempted: u32,
    /// A job runs out of memory, or of time.
    pub exhausted: u32,
    /// A job is gone from the queue when it ends, and left no word.
    pub vanished: u32,
    /// A job's own word cannot be seen, only its result.
    pub silent: u32,
    /// The controller goes away when it is asked.
    pub away: u32,
    /// A submission gets no answer.
    pub unclear: u32,
    /// Of all nodes, those whose program fails whatever is done.
    pub doomed: u32,
}

/// How a node will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Well,
    Silent,
    Badly(State),
    Doomed,
    Vanished,
}

impl Faults {
    /// Whether a node is one whose program fails.
    pub(super) fn doom(&self, key: StageKey) -> bool {
        let digest = key.digest();
        let bytes = digest.bytes();
        u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) % 10_000 < self.doomed
    }

    /// How a node will end this time.
    pub(super) fn draw(&self, stream: &mut Stream, key: StageKey) -> Ending {
        for (parts, ending) in [
            (self.node, Ending::Badly(State::NodeFailed)),
            (self.preempted, Ending::Badly(State::Preempted)),
            (self.exhausted, Ending::Badly(State::OutOfMemory)),
            (self.exhausted, Ending::Badly(State::TimedOut)),
            (self.vanished, Ending::Vanished),
        ] {
            if chance(stream, parts) {
                return ending;
            }
        }
        if self.doom(key) {
            Ending::Doomed
        } else if chance(stream, self.silent) {
            Ending::Silent
        } else {
            Ending::Well
        }
    }
}

/// Whether something happens that happens so often in 10,000.
pub(super) fn chance(stream: &mut Stream, parts: u32) -> bool {
    parts > 0 && stream.below(10_000) < u64::from(parts)
}
