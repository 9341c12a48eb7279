//! What can happen to a sidecar's placement client.

use std::{collections::BTreeMap, sync::Arc};

use super::HostRef;

/// Something that happened on, or to, the stream to placement.
#[derive(Debug)]
pub enum Event {
    /// A stream is open. Nothing has been sent on it.
    Connected,
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
    /// All that [`Action::Settle`](super::Action::Settle) asked for is done.
    Settled {
        /// The round that asked for it.
        version: u64,
    },
    /// Order `unlock`.
    Unlock {
        /// The round.
        version: u64,
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

/// One host of one actor type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// The key under which the table names the host: what the ring hashes.
    pub key: Arc<str>,
    /// Where it is.
    pub host: HostRef,
}
