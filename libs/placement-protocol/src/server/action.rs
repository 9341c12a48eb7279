//! What a namespace wants done.

use std::{sync::Arc, time::Duration};

use super::{Delta, Dialect, StreamId, Table};

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

/// One order to a sidecar.
#[derive(Debug)]
pub enum Order<P> {
    /// A new table is about to come.
    Lock {
        /// The round.
        version: u64,
    },
    /// The whole table.
    Update {
        /// It carries the version of its round.
        table: Arc<Table<P>>,
        /// What its receivers understand.
        dialect: Dialect,
    },
    /// The table, as what it changes in the one that the receiver has. Only for
    /// [`Dialect::Extended`].
    Delta {
        /// It carries the version of its round.
        delta: Arc<Delta<P>>,
    },
    /// These types can be called again, ahead of the end of the round: all who hosted them have
    /// let go of what moves. Only for [`Dialect::Extended`].
    Release {
        /// The round.
        version: u64,
        /// Ascending and distinct, at least one.
        types: Vec<Arc<str>>,
    },
    /// Everybody has the table.
    Unlock {
        /// The round.
        version: u64,
    },
    /// Answers a beat. Only for [`Dialect::Extended`].
    Alive {
        /// The number of the beat.
        beat: u64,
    },
}

/// Why placement ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// It did not acknowledge a phase in time.
    #[error("the round of version {version} was not acknowledged within {after:?}")]
    Timeout {
        /// How long the phase was given.
        after: Duration,
        /// The round.
        version: u64,
    },
    /// It promised beats, and none came.
    #[error("no beat came for {after:?}")]
    Silent {
        /// How long they were waited for.
        after: Duration,
    },
    /// A newer stream is of the same host.
    #[error("a newer stream is of the same host")]
    Superseded,
}
