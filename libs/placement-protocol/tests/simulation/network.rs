//! Streams as the network carries them: in order, late, stalled, and cut.

use std::{collections::VecDeque, time::Duration};

use trilby_placement_protocol::client;

use crate::sidecar::Upward;

/// One stream.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) sidecar: usize,
    /// Of the server that it leads to.
    pub(crate) term: u64,
    pub(crate) up: VecDeque<Upward>,
    pub(crate) down: VecDeque<client::Event>,
    /// Nothing that is sent before arrives before.
    pub(crate) stalled_until: Duration,
    /// Nothing arrives any more.
    pub(crate) cut: bool,
    last_up: Duration,
    last_down: Duration,
}

impl Link {
    pub(crate) fn new(sidecar: usize, term: u64, stalled_until: Duration) -> Self {
        Self {
            sidecar,
            term,
            up: VecDeque::new(),
            down: VecDeque::new(),
            stalled_until,
            cut: false,
            last_up: Duration::ZERO,
            last_down: Duration::ZERO,
        }
    }

    /// When something sent upwards now arrives, with a delay of its own.
    pub(crate) fn up_at(&mut self, time: Duration, delay: Duration) -> Duration {
        self.last_up = (time.max(self.stalled_until) + delay).max(self.last_up);
        self.last_up
    }

    /// When something sent downwards now arrives, with a delay of its own.
    pub(crate) fn down_at(&mut self, time: Duration, delay: Duration) -> Duration {
        self.last_down = (time.max(self.stalled_until) + delay).max(self.last_down);
        self.last_down
    }
}
