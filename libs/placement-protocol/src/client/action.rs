//! What a sidecar's placement client wants done.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Routing;
use crate::Phase;

/// Something to be done by whoever drives the client.
#[derive(Debug)]
pub enum Action {
    /// Tell placement which actor types are hosted here.
    Report {
        /// Ascending and distinct; may be empty.
        entities: Vec<Arc<str>>,
    },
    /// Acknowledge an order.
    Acknowledge {
        /// Its phase.
        phase: Phase,
        /// Its round.
        version: u64,
    },
    /// Ask placement whether this sidecar still counts.
    Beat {
        /// Its number; the answer has the same.
        beat: u64,
    },
    /// Hosted actors may be called until then, and no longer.
    Lease(Lease),
    /// From now on lookups use this.
    Publish(Arc<Routing>),
    /// Bring calls of the moved types that began on an earlier table to an end, deactivate the actors
    /// no longer owned here, then come back with [`Event::Settled`](super::Event::Settled).
    ///
    /// Takes the place of an earlier request that is still under way: `moved` includes its types.
    Settle {
        /// The round.
        version: u64,
        /// The types whose hosts changed.
        moved: Vec<Arc<str>>,
    },
    /// A table is in force: this sidecar takes part.
    Ready,
    /// The stream is gone: bring all calls to hosted actors to an end and deactivate all of them. A
    /// request to settle that is under way ends with this one.
    HaltAll {
        /// The lease: what has not ended then is to be cut short. `None` where placement gives none.
        by: Option<Instant>,
    },
    /// An order that does not fit was ignored; worth a line in the log.
    Ignored {
        /// Its phase.
        phase: Phase,
        /// Its round.
        version: u64,
    },
    /// End the stream. [`Event::Lost`](super::Event::Lost) is expected to follow.
    Close(ProtocolError),
}

/// How long this sidecar may call the actors it hosts, if it hears nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Not at all.
    Over,
    /// Until then.
    Until(Instant),
    /// Placement knows of no leases: as long as there is a stream.
    Stream,
}

/// Why a sidecar ends its stream to placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Versions went backwards within one stream.
    #[error("version mismatch: expected {expected}, got {got}")]
    VersionMismatch {
        /// The least that was possible.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// A table came as changes to one that is not here.
    #[error("the changes apply to version {base}, here is {held:?}")]
    MissingBase {
        /// What they apply to.
        base: u64,
        /// What there is.
        held: Option<u64>,
    },
    /// Beats were not answered in time.
    #[error("placement answered no beat for {after:?}")]
    LeaseOver {
        /// The length of the lease.
        after: Duration,
    },
    /// The next order of a round did not come in time.
    #[error("dissemination timeout after {after:?} for version {version}")]
    Timeout {
        /// How long the order was waited for.
        after: Duration,
        /// The round.
        version: u64,
    },
}
