//! `state.in-memory`.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    RequestMetadata,
    metadata::Schema,
    state::{
        Concurrency, DeleteRequest, Feature, GetRequest, Item, KeyListing, KeyPage, KeyPrefix,
        KeysLike, Operation, PrefixDeletion, SetRequest, StateError, StateStore, Transactional,
        Ttl,
    },
};

/// What the metadata API lists.
pub(super) const CAPABILITIES: &[&str] = &[
    "ETAG",
    "TRANSACTIONAL",
    "TTL",
    "DELETE_WITH_PREFIX",
    "KEYS_LIKE",
    "ACTOR",
];

/// The store has no settings; whatever is given is reported as unknown.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct NoSettings {}

impl Schema for NoSettings {}

/// A map in memory. Etags are random; expired values go away with the next call of any kind.
#[derive(Default)]
pub struct InMemoryState {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<Arc<str>, Entry>,
    /// Every key with an expiry, soonest first, so that sweeping touches only what is due.
    by_expiry: BTreeSet<(Instant, Arc<str>)>,
}

struct Entry {
    value: Bytes,
    etag: String,
    expiry: Option<Expiry>,
}

/// One moment on the two clocks: the monotonic one decides, the wall clock is what callers are told.
#[derive(Clone, Copy)]
struct Expiry {
    due: Instant,
    shown: Timestamp,
}

impl Expiry {
    /// `None` for no expiry, and for one beyond what clocks can say.
    fn of(ttl: Option<Ttl>) -> Option<Self> {
        match ttl? {
            Ttl::Never => None,
            Ttl::After(life) => Some(Self {
                due: Instant::now().checked_add(life)?,
                shown: Timestamp::now().checked_add(life).ok()?,
            }),
        }
    }
}

// === impl Entries ===

impl Entries {
    fn sweep(&mut self) {
        let now = Instant::now();
        while let Some((due, _)) = self.by_expiry.first() {
            if *due > now {
                return;
            }
            if let Some((_, key)) = self.by_expiry.pop_first() {
                self.by_key.remove(&key);
            }
        }
    }

    /// Upstream's rule: an etag always counts; first-write without one means "create".
    fn check(
        &self,
        key: &str,
        etag: Option<&str>,
        concurrency: Concurrency,
    ) -> Result<(), StateError> {
        let current = self.by_key.get(key);
        match etag.filter(|etag| !etag.is_empty()) {
            Some(etag) => match current {
                None => Err(StateError::EtagMismatch(format!(
                    "state not exist or expired for key={key}"
                ))),
                Some(entry) if entry.etag != etag => Err(StateError::EtagMismatch(format!(
                    "state etag not match for key={key}: current={}, expect={etag}",
                    entry.etag
                ))),
                Some(_) => Ok(()),
            },
            None if concurrency == Concurrency::FirstWrite && current.is_some() => Err(
                StateError::EtagMismatch("item already exists and no etag was passed".into()),
            ),
            None => Ok(()),
        }
    }

    fn check_operation(&self, operation: &Operation) -> Result<(), StateError> {
        let (etag, concurrency) = match operation {
            Operation::Upsert(set) => (&set.etag, set.options.concurrency),
            Operation::Delete(delete) => (&delete.etag, delete.options.concurrency),
        };
        self.check(operation.key(), etag.as_deref(), concurrency)
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Upsert(set) => self.insert(set),
            Operation::Delete(delete) => self.remove(&delete.key),
        }
    }

    /// The keys that are `wanted`, in no order.
    fn keys(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let keys = self.by_key.keys().filter(|key| wanted(key));
        keys.map(|key| key.as_ref().to_owned()).collect()
    }

    fn insert(&mut self, set: SetRequest) {
        self.remove(&set.key);
        let key: Arc<str> = set.key.into();
        let expiry = Expiry::of(set.ttl);
        if let Some(expiry) = expiry {
            self.by_expiry.insert((expiry.due, Arc::clone(&key)));
        }
        let entry = Entry {
            value: set.value.bytes().clone(),
            etag: Uuid::new_v4().to_string(),
            expiry,
        };
        self.by_key.insert(key, entry);
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, entry)) = self.by_key.remove_entry(key)
            && let Some(expiry) = entry.expiry
        {
            self.by_expiry.remove(&(expiry.due, key));
        }
    }
}

// === impl InMemoryState ===

impl InMemoryState {
    /// Applies all operations under one lock, or none.
    fn apply(&self, operations: Vec<Operation>) -> Result<(), StateError> {
        let mut entries = self.entries.lock();
        entries.sweep();
        for operation in &operations {
            entries.check_operation(operation)?;
        }
        for operation in operations {
            entries.apply(operation);
        }
        Ok(())
    }
}

#[async_trait]
impl StateStore for InMemoryState {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag, Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let mut entries = self.entries.lock();
        entries.sweep();
        Ok(entries.by_key.get(request.key.as_str()).map(|entry| Item {
            value: entry.value.clone(),
            etag: Some(entry.etag.clone()),
            expires_at: entry.expiry.map(|expiry| expiry.shown),
        }))
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.apply(vec![Operation::Upsert(request)])
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.apply(vec![Operation::Delete(request)])
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    fn prefix_deletion(&self) -> Option<&dyn PrefixDeletion> {
        Some(self)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        Some(self)
    }

    async fn close(&self) {
        *self.entries.lock() = Entries::default();
    }
}

#[async_trait]
impl Transactional for InMemoryState {
    async fn transact(
        &self,
        operations: Vec<Operation>,
        _metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        self.apply(operations)
    }
}

#[async_trait]
impl PrefixDeletion for InMemoryState {
    async fn delete_with_prefix(&self, prefix: &KeyPrefix) -> Result<u64, StateError> {
        let mut entries = self.entries.lock();
        entries.sweep();
        let covered = entries.keys(|key| prefix.covers(key));
        for key in &covered {
            entries.remove(key);
        }
        Ok(covered.len() as u64)
    }
}

#[async_trait]
impl KeyListing for InMemoryState {
    async fn keys_like(&self, request: KeysLike) -> Result<KeyPage, StateError> {
        let mut entries = self.entries.lock();
        entries.sweep();
        let found = entries.keys(|key| request.pattern.matches(key));
        drop(entries);
        Ok(request.page(found))
    }
}

#[cfg(test)]
mod tests;
