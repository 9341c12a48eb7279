//! The state block: a key-value store with optional etags, expiry and transactions.
//!
//! Keys arrive complete (prefix included) and leave untouched; values are bytes. What a store can do is
//! said once: [`StateStore::transactional`] and its like by being there, the rest by [`StateStore::features`].

mod error;
mod keys;
mod last_write;
mod query;
mod request;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

pub use error::{CustomError, StateError};
pub use keys::{KeyListing, KeyPage, KeyPrefix, KeysLike, LikePattern, PrefixDeletion, Token};
pub use last_write::{Guard, LastWrite, last_writes};
pub use query::{
    Comparison, Filter, MAX_ANSWER, Match, Paging, Path, Query, QueryError, QueryPage,
    QueryRequest, Queryable, Scalar, Sort,
};
pub use request::{
    Concurrency, Consistency, DeleteRequest, GetRequest, Operation, SetRequest, Ttl, Value,
    WriteOptions,
};

use crate::RequestMetadata;

/// What a store guarantees beyond reading and writing, where no method of the trait shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Every read returns an etag, and a write with one fails unless it is the current one.
    Etag,
    /// Expiry of single keys ([`SetRequest::ttl`]) is honoured.
    Ttl,
}

/// One stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The bytes as they were written.
    pub value: Bytes,
    /// The version of this value, opaque to callers. Absent where the store keeps none (a value written
    /// by something else, say).
    pub etag: Option<String>,
    /// When the value disappears; `None` when it stays, or when the store cannot tell.
    pub expires_at: Option<Timestamp>,
}

impl Item {
    /// [`Item::expires_at`] as the `ttlExpireTime` metadata of a reply: RFC 3339, UTC, whole seconds.
    #[must_use]
    pub fn ttl_expire_time(&self) -> Option<String> {
        let second = Timestamp::from_second(self.expires_at?.as_second()).ok()?;
        Some(second.to_string())
    }
}

/// A store and its component's name, by which policies know it.
#[derive(Clone)]
pub struct NamedStore {
    /// The name.
    pub name: Arc<str>,
    /// The store.
    pub store: Arc<dyn StateStore>,
}

/// One answer of [`StateStore::bulk_get`].
#[derive(Debug)]
pub struct BulkItem {
    /// The key asked for.
    pub key: String,
    /// Its value, `None` when there is none.
    pub result: Result<Option<Item>, StateError>,
}

/// How many operations of one bulk call are under way at once where the store has no bulk call of its own.
/// The API layer lowers it to what the caller asks for; more than this gains nothing on one connection.
pub const MAX_PARALLELISM: usize = 64;

/// A key-value store.
///
/// # Cancel safety
/// Dropping a returned future abandons the wait; a write may still have happened.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// What the store guarantees that its methods do not show.
    fn features(&self) -> &[Feature];

    /// Reads one key; `None` when there is no value or it has expired.
    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError>;

    /// Writes one key.
    async fn set(&self, request: SetRequest) -> Result<(), StateError>;

    /// Removes one key. Removing what is not there succeeds, unless the request has an etag and the store
    /// treats it as a mismatch.
    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError>;

    /// Reads many keys, at most `parallelism` (at least 1, at most [`MAX_PARALLELISM`]) at once. Answers
    /// come in the order of the requests; one failure leaves the others alone.
    async fn bulk_get(&self, requests: Vec<GetRequest>, parallelism: usize) -> Vec<BulkItem> {
        stream::iter(requests)
            .map(async |request: GetRequest| BulkItem {
                key: request.key.clone(),
                result: self.get(request).await,
            })
            .buffered(parallelism.clamp(1, MAX_PARALLELISM))
            .collect()
            .await
    }

    /// Writes many keys, each on its own. Results come in the order of the requests.
    async fn bulk_set(&self, requests: Vec<SetRequest>) -> Vec<Result<(), StateError>> {
        stream::iter(requests)
            .map(async |request| self.set(request).await)
            .buffered(MAX_PARALLELISM)
            .collect()
            .await
    }

    /// Removes many keys, each on its own. Results come in the order of the requests.
    async fn bulk_delete(&self, requests: Vec<DeleteRequest>) -> Vec<Result<(), StateError>> {
        stream::iter(requests)
            .map(async |request| self.delete(request).await)
            .buffered(MAX_PARALLELISM)
            .collect()
            .await
    }

    /// The transactional side of the store, when it has one.
    fn transactional(&self) -> Option<&dyn Transactional> {
        None
    }

    /// The side of the store that deletes by prefix, when it has one.
    fn prefix_deletion(&self) -> Option<&dyn PrefixDeletion> {
        None
    }

    /// The side of the store that lists keys, when it has one.
    fn key_listing(&self) -> Option<&dyn KeyListing> {
        None
    }

    /// The side of the store that answers queries, when it has one.
    fn queryable(&self) -> Option<&dyn Queryable> {
        None
    }

    /// Releases connections. Later calls fail with [`StateError::Unavailable`] or find nothing.
    async fn close(&self) {}
}

/// A store that applies several operations together or not at all.
#[async_trait]
pub trait Transactional: Send + Sync {
    /// Applies `operations` in order, all or none. Etags and first-write are judged against the state
    /// before the transaction.
    async fn transact(
        &self,
        operations: Vec<Operation>,
        metadata: &RequestMetadata,
    ) -> Result<(), StateError>;

    /// How many operations one transaction may hold; `None` for no limit of the store's.
    async fn max_operations(&self) -> Option<usize> {
        None
    }
}

impl dyn StateStore + '_ {
    /// Whether the store honours `feature`.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features().contains(&feature)
    }

    /// Whether actors can keep their state here: etags and transactions.
    #[must_use]
    pub fn can_hold_actors(&self) -> bool {
        self.has(Feature::Etag) && self.transactional().is_some()
    }

    /// The capabilities that the metadata API lists, in upstream's spelling and order.
    #[must_use]
    pub fn capabilities(&self) -> Vec<&'static str> {
        [
            ("ETAG", self.has(Feature::Etag)),
            ("TRANSACTIONAL", self.transactional().is_some()),
            ("TTL", self.has(Feature::Ttl)),
            ("DELETE_WITH_PREFIX", self.prefix_deletion().is_some()),
            ("KEYS_LIKE", self.key_listing().is_some()),
            ("QUERY_API", self.queryable().is_some()),
            ("ACTOR", self.can_hold_actors()),
        ]
        .into_iter()
        .filter_map(|(name, present)| present.then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod tests;
