//! What a namespace wants done.

use std::{sync::Arc, time::Duration};

use super::{StreamId, Table};
use crate::Phase;

/// Something to be done by whoever drives the namespace.
#[derive(Debug)]
pub enum Action<P> {
    /// Send one order to several streams. Orders to one stream keep their order.
    Send {
        /// The receivers, ascending, at least one.
        to: Vec<StreamId>,
        /// What to send; the same for all, so it needs encoding only once.
        order: Order<P>,
    },
    /// End a stream. The namespace has forgotten it already.
    Close {
        /// The stream.
        stream: StreamId,
        /// Why, for its status.
        reason: CloseReason,
    },
}

/// One order of a round.
#[derive(Debug)]
pub enum Order<P> {
    /// A new table is about to come.
    Lock {
        /// The round.
        version: u64,
    },
    /// The table.
    Update {
        /// It carries the version of its round.
        table: Arc<Table<P>>,
    },
    /// Everybody has the table.
    Unlock {
        /// The round.
        version: u64,
    },
}

/// Why placement ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// It did not acknowledge a phase in time.
    #[error("the round of version {version} was not acknowledged within {after:?}")]
    Timeout {
        /// How long the round was given.
        after: Duration,
        /// The round.
        version: u64,
    },
}

// === impl Order ===

impl<P> Order<P> {
    /// The phase that this order begins.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Lock { .. } => Phase::Lock,
            Self::Update { .. } => Phase::Update,
            Self::Unlock { .. } => Phase::Unlock,
        }
    }

    /// The round that it belongs to.
    pub fn version(&self) -> u64 {
        match self {
            Self::Lock { version } | Self::Unlock { version } => *version,
            Self::Update { table } => table.version,
        }
    }
}
