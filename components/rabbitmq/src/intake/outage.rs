//! How long a broker has been away, which decides when it is looked for, and what is said about it.

use std::time::Duration;

use crate::link::jittered;

/// The longest pause between two attempts, unless the first is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Attempts in a row that failed.
#[derive(Debug)]
pub(super) struct Outage {
    first: Duration,
    failures: u32,
}

impl Outage {
    /// None yet; the first pause of one is `first`, at most.
    pub(super) fn new(first: Duration) -> Self {
        Self { first, failures: 0 }
    }

    /// Another attempt failed; gives the pause before the next. It is said once.
    pub(super) fn goes_on(&mut self, queue: impl std::fmt::Display, error: &str) -> Duration {
        if self.failures == 0 {
            tracing::warn!(%queue, error, "a queue is not consumed until its broker is back");
        } else {
            tracing::debug!(%queue, error, "the broker is not back yet");
        }
        self.failures = self.failures.saturating_add(1);
        jittered(self.failures, self.first, LONGEST.max(self.first))
    }

    /// An attempt succeeded.
    pub(super) fn ends(&mut self, queue: impl std::fmt::Display) {
        tracing::info!(%queue, attempts = self.failures, "a queue is consumed again");
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Outage;

    #[test]
    fn pauses_grow_until_the_broker_is_back() {
        let second = Duration::from_secs(1);
        let mut outage = Outage::new(second);
        assert!(outage.goes_on("q", "away") <= second);
        for _ in 0..10 {
            outage.goes_on("q", "away");
        }
        let long = outage.goes_on("q", "away");
        assert!(long >= second * 15 && long <= second * 30, "{long:?}");
        outage.ends("q");
        assert!(outage.goes_on("q", "away") <= second);
    }
}
