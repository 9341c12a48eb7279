//! How fast something may be done again and again. Pure.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// So much of a minute's work may follow each other without a pause after a time without any.
const BURST: u32 = 10;

/// A burst, and then evenly.
#[derive(Debug)]
pub(crate) struct Pace {
    gap: Duration,
    slack: Duration,
    /// When the next one would be due at an even pace.
    due: Instant,
}

impl Pace {
    /// `burst` (at least 1) at once, and one more in each `gap`.
    pub(crate) fn new(burst: u32, gap: Duration, now: Instant) -> Self {
        Self {
            gap,
            slack: gap * burst.saturating_sub(1),
            due: now,
        }
    }

    /// At most so many in any minute and a burst, which is a tenth of that.
    pub(crate) fn per_minute(number: NonZeroU32, now: Instant) -> Self {
        let gap = Duration::from_secs(60) / number.get();
        Self::new((number.get() / BURST).max(1), gap, now)
    }

    /// When the next one may be.
    pub(crate) fn next(&self) -> Instant {
        self.due.checked_sub(self.slack).unwrap_or(self.due)
    }

    /// Counts one.
    pub(crate) fn take(&mut self, now: Instant) {
        self.due = self.due.max(now) + self.gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_minute(per_minute: u32) -> u32 {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut pace = Pace::per_minute(NonZeroU32::new(per_minute).unwrap(), start);
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(60) {
            if pace.next() <= now {
                pace.take(now);
                taken += 1;
            } else {
                now = pace.next();
            }
        }
        taken
    }

    #[test]
    fn a_minute_has_as_many_as_were_asked_for_and_one_burst() {
        for (asked, least) in [(1, 1), (20, 20), (1000, 1000), (100_000, 100_000)] {
            let taken = in_a_minute(asked);
            assert!(
                (least..=asked + asked / BURST + 1).contains(&taken),
                "{asked}: {taken}"
            );
        }
    }
}
