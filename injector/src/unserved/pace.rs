//! How fast pods are evicted.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// So much of a minute's evictions may follow each other without a pause after a time without any.
const BURST: u32 = 10;

/// At most so many in any minute and a burst, evenly after the burst.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    slack: Duration,
    /// When the next one would be due at an even pace.
    due: Instant,
}

impl Pace {
    pub(super) fn new(per_minute: NonZeroU32, now: Instant) -> Self {
        let gap = Duration::from_secs(60) / per_minute.get();
        let burst = (per_minute.get() / BURST).max(1);
        Self {
            gap,
            slack: gap * (burst - 1),
            due: now,
        }
    }

    /// When the next one may be.
    pub(super) fn next(&self) -> Instant {
        self.due.checked_sub(self.slack).unwrap_or(self.due)
    }

    /// Counts one.
    pub(super) fn take(&mut self, now: Instant) {
        self.due = self.due.max(now) + self.gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_minute(per_minute: u32) -> u32 {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut pace = Pace::new(NonZeroU32::new(per_minute).unwrap(), start);
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
