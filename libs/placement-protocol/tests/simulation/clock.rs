//! Time as it passes, and as the nodes see it.

use std::time::{Duration, Instant};

/// A node's clock: it runs at its own speed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    /// Seconds of this clock in a thousand true ones.
    rate: u32,
}

impl Clock {
    pub(crate) fn new(origin: Instant, rate: u32) -> Self {
        Self { origin, rate }
    }

    /// What it shows at a true time, counted from the beginning.
    pub(crate) fn show(&self, time: Duration) -> Instant {
        self.origin + time * self.rate / 1000
    }

    /// When it will show `instant`, or a moment later.
    pub(crate) fn when(&self, instant: Instant) -> Duration {
        let shown = instant.saturating_duration_since(self.origin);
        shown * 1000 / self.rate + Duration::from_micros(1)
    }
}
