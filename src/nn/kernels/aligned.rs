//! Numbers in memory that begins with a line of the cache.
//!
//! A vector of 16 numbers then is one line, and never parts of two, which would take twice the time to load.

/// Bytes of a line.
const LINE: usize = 64;
/// So many numbers may lie before the first line.
const SLACK: usize = LINE / size_of::<f32>() - 1;

/// A vector of `f32` that begins with a line of the cache.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    memory: Vec<f32>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// So many zeros.
    pub(super) fn zeros(length: usize) -> Self {
        let memory = vec![0.0; length + SLACK];
        // A hint only: if the offset cannot be told, the numbers are the same, and slower to load.
        let start = memory.as_ptr().align_offset(LINE).min(SLACK);
        Self { memory, start, length }
    }

    /// Gives it another length; what it holds is then meaningless. Allocates only beyond the largest so far.
    pub(super) fn set_length(&mut self, length: usize) {
        if self.start + length > self.memory.len() {
            *self = Self::zeros(length);
        }
        self.length = length;
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.memory[self.start..][..self.length]
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..][..self.length]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut clone = Self::zeros(self.length);
        clone.values_mut().copy_from_slice(self.values());
        clone
    }
}

impl PartialEq for Aligned {
    fn eq(&self, other: &Self) -> bool {
        self.values() == other.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_it_begins_with_a_line() {
        let mut numbers = Aligned::zeros(3);
        numbers.values_mut().copy_from_slice(&[1.0, 2.0, 3.0]);
        let clone = numbers.clone();
        assert_eq!(clone.values(), [1.0, 2.0, 3.0]);
        numbers.set_length(10_000);
        assert_ne!(numbers, clone);
        numbers.set_length(5);
        for values in [numbers.values(), clone.values()] {
            assert_eq!(values.as_ptr().align_offset(LINE), 0);
        }
        assert_eq!([numbers.values().len(), clone.values().len()], [5, 3]);
    }
}
