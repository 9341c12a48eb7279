//! What can happen to a sidecar's placement client.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::HostRef;

/// Something that happened on, or to, the stream to placement.
#[derive(Debug)]
pub enum Event {
    /// A stream is being opened. Nothing has been sent on it.
    Connected,
    /// Placement took the stream, and no order has come. With a lease, this sidecar serves actors only
    /// while its beats are answered.
    Accepted {
        /// How long one answered beat lasts, from when it was sent; `None` from a placement that knows
        /// of no beats.
        lease: Option<Duration>,
    },
    /// The stream ended, for whatever reason.
    Lost,
    /// These are the actor types hosted here from now on.
    Hosting(Vec<Arc<str>>),
    /// Order `lock`.
    Lock {
        /// The round.
        version: u64,
    },
    /// Order `update`.
    Update {
        /// The round.
        version: u64,
        /// The table.
        tables: Tables,
    },
    /// Order `delta`: an `update` that says only what differs.
    Delta {
        /// The round.
        version: u64,
        /// What differs.
        delta: Delta,
    },
    /// All that [`Action::Settle`](super::Action::Settle) asked for is done.
    Settled {
        /// The round that asked for it.
        version: u64,
    },
    /// Order `release`: calls of these types may go on ahead of `unlock`.
    Release {
        /// The round.
        version: u64,
        /// The types.
        types: Vec<Arc<str>>,
    },
    /// Order `unlock`.
    Unlock {
        /// The round.
        version: u64,
    },
    /// Order `alive`: the answer to a beat.
    Alive {
        /// The number of the beat.
        beat: u64,
    },
    /// The time given by [`deadline`](super::Client::deadline) has come.
    Tick,
}

/// The hosts of every actor type, as an order `update` brings them.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Virtual nodes per host.
    pub replication: u32,
    /// Actor type → its hosts.
    pub entries: BTreeMap<Arc<str>, Vec<HostEntry>>,
}

/// What an order `delta` changes.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    /// Version of the table that it applies to.
    pub base: u64,
    /// Virtual nodes per host.
    pub replication: u32,
    /// Actor type → what changes in its hosts.
    pub types: BTreeMap<Arc<str>, TypeDelta>,
}

/// What changes in the hosts of one type. A type without hosts is gone.
#[derive(Debug, Clone, Default)]
pub struct TypeDelta {
    /// Keys of hosts that host it no longer.
    pub removed: Vec<Arc<str>>,
    /// Hosts that are new or differ.
    pub upserted: Vec<HostEntry>,
}

/// One host of one actor type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// The key under which the table names the host: what the ring hashes.
    pub key: Arc<str>,
    /// Where it is.
    pub host: HostRef,
}
