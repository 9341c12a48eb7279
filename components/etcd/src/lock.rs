//! `lock.etcd`, which upstream does not have: the owner at the key, with a lease that is as long as the lock.
//!
//! Taking and giving back are one transaction of etcd's each, and neither is sent twice when its answer is lost. A look at
//! the key comes first: who asks for what another one has costs the cluster no write, and a connection that broke while
//! nobody used it is found before anything hangs on it.
//!
//! The cluster's clock decides, and it never ends a lock early: it gives at least 2 s unless its elections are told to be
//! faster, looks for ended leases twice a second, and lets every lease begin anew when another member leads. A lock's time
//! begins before its owner hears of it, so that an owner who counts from when it asked is safe. Locks outlive the servers.

mod requests;

use async_trait::async_trait;
use trilby_components::lock::{Claim, LockError, LockStore, Release};
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_components::state::StateError;

use crate::keyspace::Keyspace;
use crate::lease;
use crate::settings::Properties;

/// Locks in an etcd cluster.
#[derive(Debug)]
pub struct EtcdLock {
    keys: Keyspace,
}

impl EtcdLock {
    /// Connects, and reads a key.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when no member can be reached or it refuses, else what is wrong with the metadata.
    pub(crate) async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let properties: Properties = metadata.decode()?;
        let keys = Keyspace::connect(&properties).await?;
        Ok(Self { keys })
    }

    async fn take(&self, claim: Claim<'_>) -> Result<bool, StateError> {
        if self.keys.read(claim.resource).await?.is_some() {
            return Ok(false);
        }
        let link = &self.keys.link;
        let seconds = i64::try_from(claim.life.as_secs()).unwrap_or(i64::MAX);
        let lease = lease::grant(link, seconds.max(1)).await?;
        let path = self.keys.path(claim.resource);
        let taken = link.call(requests::take(path, claim.owner, lease)).await;
        let taken = taken.map(|answer| answer.succeeded);
        // One that may have been taken needs its lease.
        if matches!(taken, Ok(false) | Err(StateError::InvalidRequest(_))) {
            lease::revoke(link, lease).await;
        }
        taken
    }

    async fn give_back(&self, resource: &str, owner: &str) -> Result<Release, StateError> {
        let found = self.keys.read(resource).await?;
        if let Some(refusal) = requests::refusal(found.as_ref(), owner) {
            return Ok(refusal);
        }
        let link = &self.keys.link;
        let request = requests::give_back(self.keys.path(resource), owner);
        let release = requests::outcome(&link.call(request).await?);
        match found.map(|found| found.lease) {
            Some(lease) if lease != lease::NONE && release == Release::Done => {
                lease::revoke(link, lease).await;
            }
            _ => {}
        }
        Ok(release)
    }
}

#[async_trait]
impl LockStore for EtcdLock {
    async fn try_lock(&self, claim: Claim<'_>) -> Result<bool, LockError> {
        self.take(claim).await.map_err(failed)
    }

    async fn unlock(&self, resource: &str, owner: &str) -> Result<Release, LockError> {
        self.give_back(resource, owner).await.map_err(failed)
    }

    async fn close(&self) {
        self.keys.link.close();
    }
}

fn failed(error: StateError) -> LockError {
    match error {
        StateError::Unavailable(reason) => LockError::Unavailable(reason),
        StateError::InvalidRequest(reason) => LockError::InvalidRequest(reason),
        other => LockError::Store(other.to_string()),
    }
}
