//! How often to ask: soon at first and after news, ever more seldom while there are none.

use std::time::Duration;

/// When to ask next.
#[derive(Debug)]
pub(super) struct Pace {
    first: Duration,
    longest: Duration,
    gap: Duration,
    next: Duration,
}

impl Pace {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, gap: first, next: Duration::ZERO }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// From now on, not so often even after news: where there is much to ask about, the answer costs more.
    pub(super) fn set_first(&mut self, first: Duration) {
        self.first = first.min(self.longest);
        self.gap = self.gap.max(self.first);
    }

    /// It was asked.
    pub(super) fn asked(&mut self, now: Duration) {
        self.next = now + self.gap;
        self.gap = (self.gap * 3 / 2).min(self.longest);
    }

    /// There are news, or may be soon.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.gap = self.first;
        self.next = self.next.min(now + self.first);
    }

    /// Not for so long.
    pub(super) fn rest(&mut self, until: Duration) {
        self.next = until;
    }

    /// How long until it is due.
    pub(super) fn left(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_slows_and_news_hurry() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(second, second * 4);
        let (mut now, mut times) = (Duration::ZERO, Vec::new());
        while times.len() < 7 {
            if pace.is_due(now) {
                times.push(now.as_millis());
                pace.asked(now);
            }
            now += pace.left(now);
        }
        assert_eq!(times, [0, 1000, 2500, 4750, 8125, 12125, 16125]);
        pace.hurry(now);
        assert_eq!(pace.left(now.saturating_sub(second * 2)), second * 2, "what is due sooner stays");
    }
}
