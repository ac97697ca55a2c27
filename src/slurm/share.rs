//! How many nodes a job does: one, or several that take little time, one after another.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most nodes of a job: as long as none of them has ended, nothing is known of those behind it.
const MOST: f64 = 1000.0;

/// What a job of an array does: so many lines of its batch. Line i is done by job i / count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Share {
    count: NonZeroU32,
    /// When this time is over, the job begins no other line; zero if it has one only.
    pub time: Duration,
}

impl Default for Share {
    fn default() -> Self {
        Self { count: NonZeroU32::MIN, time: Duration::ZERO }
    }
}

impl Share {
    /// As many nodes as are done in a time, if one usually takes so many seconds.
    pub fn of(time: Option<Duration>, seconds: Option<f64>) -> Self {
        let fit = |(time, seconds): (Duration, f64)| (time, (time.as_secs_f64() / seconds).min(MOST) as u32);
        match time.zip(seconds).map(fit) {
            Some((time, count)) if count > 1 => {
                Self { count: NonZeroU32::new(count).expect("it is above 1"), time }
            }
            _ => Self::default(),
        }
    }

    /// Whether a job does one node only.
    pub fn is_one(self) -> bool {
        self.count == NonZeroU32::MIN
    }

    /// The job that does a line.
    pub fn job(self, line: u32) -> u32 {
        line / self.count
    }

    /// The jobs that do so many lines.
    pub fn jobs(self, lines: usize) -> usize {
        lines.div_ceil(self.count.get() as usize)
    }

    /// The lines that so many jobs do.
    pub fn lines(self, jobs: usize) -> usize {
        jobs.saturating_mul(self.count.get() as usize)
    }

    /// The lines that some jobs do.
    pub fn lines_of(self, jobs: RangeInclusive<u32>) -> RangeInclusive<u32> {
        let count = self.count.get();
        jobs.start().saturating_mul(count)..=jobs.end().saturating_mul(count).saturating_add(count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_fit() {
        let (minute, of) = (Some(Duration::from_mins(1)), Share::of);
        assert!(of(None, Some(1.0)).is_one() && of(minute, None).is_one() && of(minute, Some(31.0)).is_one());
        assert_eq!(of(minute, Some(0.0)).lines(1), 1000);
        let three = of(minute, Some(20.0));
        assert_eq!((three.jobs(6), three.jobs(7), three.lines(2), three.job(5)), (2, 3, 6, 1));
        assert_eq!(three.lines_of(1..=2), 3..=8);
        assert_eq!(Share::default().lines_of(4..=4), 4..=4);
    }
}
