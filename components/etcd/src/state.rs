//! `state.etcd`, v1 and v2, in upstream's layouts.
//!
//! A value is at `<keyPrefixPath>/<key>`, its etag is the revision that wrote it last. v1 keeps bare bytes, v2 a message
//! that also says until when. Every write, single or transactional, is one transaction of etcd's that carries its own
//! guards: it is applied as a whole or not at all, and where a guard does not hold the same answer says which.
//!
//! An expiry is a lease that the value is written with, so that neither is there without the other. One that ends unused,
//! since its value was not written or was written anew, costs nothing but its place. etcd has no leases of less than its
//! members need to elect a leader, 2 s unless told otherwise, and looks for ended ones twice a second.

mod layout;
mod leases;
mod listing;
mod plan;
mod settings;

use async_trait::async_trait;
use jiff::Timestamp;
use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_components::state::{
    DeleteRequest, Feature, GetRequest, Item, KeyListing, KeyPage, KeysLike, Operation, SetRequest,
    StateError, StateStore, Transactional,
};

use crate::keyspace::Keyspace;
use crate::settings::Properties;
use crate::wire::TxnResponse;
pub(crate) use layout::Layout;
use leases::Leases;
use plan::Plan;
pub(crate) use settings::Settings;

/// State in an etcd cluster.
#[derive(Debug)]
pub struct EtcdState {
    keys: Keyspace,
    layout: Layout,
    max_operations: usize,
}

impl EtcdState {
    /// Connects, and reads a key.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when no member can be reached or it refuses, else what is wrong with the metadata.
    pub(crate) async fn connect(metadata: &Metadata, layout: Layout) -> Result<Self, InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        let settings: Settings = rest.decode()?;
        Ok(Self {
            keys: Keyspace::connect(&properties).await?,
            layout,
            max_operations: settings.max_operations(),
        })
    }

    /// All of it, or nothing.
    async fn write(&self, operations: &[Operation]) -> Result<(), StateError> {
        let plan = Plan::new(operations)?;
        let leases = Leases::grant(&self.keys.link, plan.puts()).await?;
        let now = Timestamp::now();
        let put = |set: &SetRequest| self.layout.encode(set, now);
        let request = plan.request(|key| self.keys.path(key), put, |ttl| leases.of(ttl));
        let written = self.keys.link.call(request).await;
        let written = written.and_then(|answer| match answer.succeeded {
            true => Ok(()),
            false => Err(refusal(&plan, &answer)),
        });
        // One that may have been carried out needs its leases.
        if written.as_ref().is_err_and(StateError::is_final) {
            leases.revoke(&self.keys.link).await;
        }
        written
    }
}

/// Which guard did not hold.
fn refusal(plan: &Plan<'_>, answer: &TxnResponse) -> StateError {
    let found = answer.responses.iter().map(|response| {
        let range = response.range.as_ref();
        let found = range.and_then(|range| range.kvs.first());
        found.map_or(plan::NO_REVISION, |found| found.mod_revision)
    });
    let steps = plan.guarded().zip(found);
    let explained = steps.filter_map(|(step, revision)| plan::refusal(step, revision));
    let mut explained = explained;
    let reason = explained
        .next()
        .unwrap_or_else(|| "a key changed".to_owned());
    StateError::EtagMismatch(reason)
}

#[async_trait]
impl StateStore for EtcdState {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag, Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let Some(found) = self.keys.read(&request.key).await? else {
            return Ok(None);
        };
        let (value, expires_at) = self.layout.decode(&request.key, found.value)?;
        Ok(Some(Item {
            value,
            etag: Some(found.mod_revision.to_string()),
            expires_at,
        }))
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.write(&[Operation::Upsert(request)]).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.write(&[Operation::Delete(request)]).await
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        Some(self)
    }

    async fn close(&self) {
        self.keys.link.close();
    }
}

#[async_trait]
impl Transactional for EtcdState {
    async fn transact(
        &self,
        operations: Vec<Operation>,
        _metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        if operations.is_empty() {
            return Ok(());
        }
        self.write(&operations).await
    }

    async fn max_operations(&self) -> Option<usize> {
        Some(self.max_operations)
    }
}

#[async_trait]
impl KeyListing for EtcdState {
    async fn keys_like(&self, request: KeysLike) -> Result<KeyPage, StateError> {
        listing::page(&self.keys.link, &self.keys.prefix, &request).await
    }
}
