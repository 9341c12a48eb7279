//! How many they are, and the times that keep them apart.

use std::time::Duration;

use super::Replica;

/// What all replicas must agree on, and which of them this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many replicas there are.
    pub replicas: usize,
    /// This one.
    pub me: Replica,
    /// How long a leader leads without hearing from a quorum. Everything else follows from it.
    pub lease: Duration,
}

// === impl Settings ===

impl Settings {
    /// How much the rates of two replicas' clocks may differ, in percent: a promise is longer than a lease by more.
    pub const DRIFT: u32 = 10;

    /// As in [`Settings::lease`].
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How long a promise lasts. So long, at least, is nobody leader after the last one was cut off.
    pub fn promise(&self) -> Duration {
        self.lease * 7 / 6
    }

    /// How often a leader asks whether it still leads.
    pub fn beat(&self) -> Duration {
        self.lease / 12
    }

    /// How long a candidate waits for votes.
    pub fn poll(&self) -> Duration {
        self.lease / 6
    }

    /// By how much one replica stands later than the one before it.
    pub(super) fn spread(&self) -> Duration {
        self.lease / 20
    }

    /// How many are a majority.
    pub fn quorum(&self) -> usize {
        self.replicas / 2 + 1
    }

    /// Everybody else.
    pub fn others(&self) -> impl Iterator<Item = Replica> + use<> {
        let me = self.me;
        (0..self.replicas).map(Replica).filter(move |it| *it != me)
    }
}
