//! Connections to other sidecars: one per address and application, shared by every call, and dropped when
//! nobody used them for a while.
//!
//! With mTLS a connection is good for one application only: the handshake refuses a server whose identity is
//! not `ns/<namespace>/<app id>`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use trilby_grpc::client::InvalidTarget;
use trilby_grpc::{Channel, ChannelConfig, Liveness};
use trilby_identity::{Expect, Identity};

use crate::blocks::invoke::Target;

/// How long a connection may stay unused, as upstream's collector has it.
const IDLE_LIMIT: Duration = Duration::from_secs(180);

/// A sidecar that hangs or vanished is noticed as upstream's notice it. They allow it, as long as pings are 8 s apart.
const PINGS: Liveness = Liveness::Pings {
    interval: Duration::from_secs(10),
    timeout: Duration::from_secs(5),
};

/// The connections. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    identity: Option<Identity>,
    open: Arc<Mutex<HashMap<Key, Open>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    address: String,
    target: Target,
}

struct Open {
    channel: Channel,
    used: Instant,
}

impl Peers {
    /// Connects with mTLS if there is an identity, else without.
    pub fn new(identity: Option<Identity>) -> Self {
        Self {
            identity,
            open: Arc::default(),
        }
    }

    /// The connection to a target's sidecar; it is opened by its first call.
    ///
    /// # Errors
    /// The address is malformed.
    pub fn channel(&self, address: &str, target: &Target) -> Result<Channel, InvalidTarget> {
        let key = Key {
            address: address.to_owned(),
            target: target.clone(),
        };
        let now = Instant::now();
        let mut open = self.open.lock();
        if let Some(entry) = open.get_mut(&key) {
            entry.used = now;
            return Ok(entry.channel.clone());
        }
        open.retain(|_, entry| now.duration_since(entry.used) < IDLE_LIMIT);
        let channel = self.connect(&key)?;
        open.insert(
            key,
            Open {
                channel: channel.clone(),
                used: now,
            },
        );
        Ok(channel)
    }

    /// Forgets a connection over which a sidecar was not reached, so that the next call opens a new one.
    pub fn discard(&self, address: &str, target: &Target) {
        let key = Key {
            address: address.to_owned(),
            target: target.clone(),
        };
        self.open.lock().remove(&key);
    }

    fn connect(&self, key: &Key) -> Result<Channel, InvalidTarget> {
        let target = key.address.parse()?;
        let expect = Expect::Workload {
            namespace: key.target.namespace.clone(),
            app_id: key.target.app_id.clone(),
        };
        let tls = self
            .identity
            .as_ref()
            .map(|identity| identity.client_tls(expect));
        let limits = ChannelConfig {
            liveness: PINGS,
            ..ChannelConfig::default()
        };
        trilby_grpc::channel(target, tls, limits)
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("mtls", &self.identity.is_some())
            .field("open", &self.open.lock().len())
            .finish()
    }
}
