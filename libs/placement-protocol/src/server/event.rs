//! What can happen to a namespace.

use super::{Dialect, Member, StreamId};
use crate::Phase;

/// Something that happened in a namespace.
#[derive(Debug)]
pub enum Event<P> {
    /// A stream arrived, with its first message.
    Joined {
        /// The stream.
        stream: StreamId,
        /// Who it says it is.
        member: Member<P>,
        /// What it understands.
        dialect: Dialect,
        /// Whether it says that it had a table from an earlier server.
        returning: bool,
    },
    /// A sidecar says anew which actor types it hosts.
    Reported {
        /// Its stream.
        stream: StreamId,
        /// Who it says it is now.
        member: Member<P>,
    },
    /// A sidecar acknowledged an order.
    Acked {
        /// Its stream.
        stream: StreamId,
        /// What it acknowledged.
        ack: Ack,
    },
    /// A sidecar of [`Dialect::Extended`] asks to be told that it still counts.
    Beat {
        /// Its stream.
        stream: StreamId,
        /// The number of the beat.
        beat: u64,
    },
    /// A message without an operation: sidecars older than the three-phase protocol send it to
    /// report as well as to acknowledge.
    Heartbeat {
        /// Its stream.
        stream: StreamId,
        /// Who it says it is.
        member: Member<P>,
    },
    /// A sidecar of [`Dialect::Extended`] says that it serves nothing any more and is about to go.
    Left {
        /// Its stream.
        stream: StreamId,
    },
    /// A stream ended, from either side.
    Closed {
        /// The stream.
        stream: StreamId,
    },
    /// The time given by [`deadline`](super::Namespace::deadline) has come.
    Tick,
}

/// The acknowledgement of one phase of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The acknowledged phase.
    pub phase: Phase,
    /// The round it belongs to; without one it counts for the current round.
    pub version: Option<u64>,
}
