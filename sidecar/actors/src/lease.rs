//! How long this sidecar may call the actors that it hosts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;
use trilby_placement_protocol::client::Lease;

/// The lease in force, read by every call of a hosted actor.
///
/// Whoever was frozen or cut off finds it over by the clock alone, before anything else has told it so.
#[derive(Debug)]
pub(crate) struct LeaseGate {
    origin: Instant,
    /// Nanoseconds after `origin`.
    until: AtomicU64,
}

/// As long as there is a stream.
const UNBOUNDED: u64 = u64::MAX;

// === impl LeaseGate ===

impl LeaseGate {
    /// A gate that is closed.
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            until: AtomicU64::new(0),
        }
    }

    pub(crate) fn set(&self, lease: Lease) {
        let until = match lease {
            Lease::Over => 0,
            Lease::Stream => UNBOUNDED,
            Lease::Until(until) => self.nanos(Instant::from_std(until)),
        };
        self.until.store(until, Relaxed);
    }

    /// Whether a hosted actor may be called now.
    pub(crate) fn is_open(&self) -> bool {
        match self.until.load(Relaxed) {
            UNBOUNDED => true,
            until => self.nanos(Instant::now()) < until,
        }
    }

    /// Centuries fit.
    fn nanos(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(UNBOUNDED - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_closes_by_itself() {
        let gate = LeaseGate::new();
        assert!(!gate.is_open(), "nothing was granted");
        let until = Instant::now() + Duration::from_secs(3);
        gate.set(Lease::Until(until.into_std()));
        tokio::time::advance(Duration::from_millis(2999)).await;
        assert!(gate.is_open());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!gate.is_open());
        gate.set(Lease::Stream);
        assert!(gate.is_open());
        gate.set(Lease::Over);
        assert!(!gate.is_open());
    }
}
