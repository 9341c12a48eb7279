//! The state block: keys of applications become keys of stores, failures of stores become answers of the API.

mod document;
mod error;
mod guarded;
mod key;
mod query;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::time::Instant;
use trilby_components::state::{
    BulkItem, DeleteRequest, GetRequest, Item, Operation, SetRequest, StateError, Transactional,
    Value,
};
use trilby_resiliency::Resiliency;
use trilby_resources::{EncryptionError, Resources, StateComponent};

use crate::error::ApiError;
use crate::metrics::{ComponentMetrics, Metrics, Operation as Counted};
use guarded::Guarded;

pub use document::compact_json;
pub use error::{Failed, etag_aware, transaction as transaction_failed};
pub use key::{KeyPrefix, illegal_key};
pub use query::{Answer, Found};

/// Reads of one bulk request that are under way at once, unless the caller asks for another number.
const DEFAULT_PARALLELISM: usize = 10;

/// State stores as an application sees them.
#[derive(Debug, Clone)]
pub struct State {
    resources: Resources,
    resiliency: Resiliency,
    app_id: Arc<str>,
    namespace: Arc<str>,
    metrics: ComponentMetrics,
}

/// A store that an operation has been resolved to.
pub struct Store {
    name: String,
    component: Arc<StateComponent>,
    resiliency: Resiliency,
    prefix: KeyPrefix,
    metrics: ComponentMetrics,
}

/// One answer of a bulk read, under the application's key.
#[derive(Debug)]
pub struct BulkEntry {
    /// The key, without prefix.
    pub key: String,
    /// Its value, `None` when there is none, or why it could not be read.
    pub result: Result<Option<Item>, String>,
}

impl State {
    /// The stores of the application `namespace/app_id`.
    pub fn new(
        resources: Resources,
        resiliency: Resiliency,
        (namespace, app_id): (&str, &str),
    ) -> Self {
        Self {
            resources,
            resiliency,
            app_id: app_id.into(),
            namespace: namespace.into(),
            metrics: Metrics::off(app_id, namespace).components(),
        }
    }

    /// Counts operations.
    #[must_use]
    pub fn measured(mut self, metrics: ComponentMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Finds a store by name.
    ///
    /// # Errors
    /// There is none at all, none of that name, or it failed to start.
    pub fn store(&self, name: &str) -> Result<Store, ApiError> {
        let component = self
            .resources
            .state_store(name)
            .map_err(|lookup| error::lookup(name, &self.app_id, &lookup))?;
        let prefix = KeyPrefix::of(&component.key_prefix, name, (&self.namespace, &self.app_id));
        Ok(Store {
            name: name.to_owned(),
            component,
            resiliency: self.resiliency.clone(),
            prefix,
            metrics: self.metrics.clone(),
        })
    }
}

impl Store {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store's key for an application's key.
    ///
    /// # Errors
    /// The key contains the separator.
    pub fn key(&self, key: &str) -> Result<String, ApiError> {
        self.prefix
            .apply(key)
            .ok_or_else(|| error::illegal_key(&self.name, key))
    }

    /// Reads one key; `request.key` is the application's.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn get(&self, mut request: GetRequest) -> Result<Option<Item>, ApiError> {
        let key = std::mem::take(&mut request.key);
        request.key = self.key(&key)?;
        let start = Instant::now();
        let item = self.guarded().get(request).await;
        self.done(Counted::StateGet, &item, start);
        let item = item.and_then(|item| item.map(|item| self.opened(item)).transpose());
        item.map_err(|failure| error::get(&self.name, &key, &failure))
    }

    /// Reads many keys, in the order of the requests.
    ///
    /// # Errors
    /// A key is illegal; failures to read are part of the answer.
    pub async fn bulk_get(
        &self,
        mut requests: Vec<GetRequest>,
        parallelism: Option<usize>,
    ) -> Result<Vec<BulkEntry>, ApiError> {
        let mut keys = Vec::with_capacity(requests.len());
        for request in &mut requests {
            let full = self.key(&request.key)?;
            keys.push(std::mem::replace(&mut request.key, full));
        }
        let parallelism = parallelism
            .filter(|asked| *asked > 0)
            .unwrap_or(DEFAULT_PARALLELISM);
        let start = Instant::now();
        let items: Vec<BulkItem> = self.guarded().bulk_get(requests, parallelism).await;
        let failure = as_a_whole(&items);
        self.done(Counted::StateBulkGet, &failure.map_or(Ok(()), Err), start);
        if let Some(failure) = failure {
            return Err(error::bulk_get(failure));
        }
        let entry = |(key, item): (String, BulkItem)| BulkEntry {
            key,
            result: item
                .result
                .and_then(|item| item.map(|item| self.opened(item)).transpose())
                .map_err(|failure| failure.to_string()),
        };
        Ok(keys.into_iter().zip(items).map(entry).collect())
    }

    /// Writes keys, each on its own; the keys are the application's.
    ///
    /// # Errors
    /// As the API answers the first failure. Other keys may have been written.
    pub async fn set(&self, mut requests: Vec<SetRequest>) -> Result<(), ApiError> {
        let failed =
            |failure: &StateError| etag_aware(&Failed::Save { store: &self.name }, failure);
        for request in &mut requests {
            request.key = self.key(&request.key)?;
            self.seal(request).map_err(|failure| failed(&failure))?;
        }
        let start = Instant::now();
        let result = match requests.len() {
            0 => return Ok(()),
            1 => self.guarded().set(requests.remove(0)).await,
            _ => self.guarded().bulk_set(requests).await,
        };
        self.done(Counted::StateSet, &result, start);
        result.map_err(|failure| failed(&failure))
    }

    /// Removes one key, which is the application's.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn delete(&self, mut request: DeleteRequest) -> Result<(), ApiError> {
        let key = std::mem::take(&mut request.key);
        request.key = self.key(&key)?;
        let start = Instant::now();
        let result = self.guarded().delete(request).await;
        self.done(Counted::StateDelete, &result, start);
        result.map_err(|failure| etag_aware(&Failed::Delete { key: &key }, &failure))
    }

    /// Removes keys, each on its own; the keys are the application's.
    ///
    /// # Errors
    /// As the API answers the first failure. Other keys may have been removed.
    pub async fn bulk_delete(&self, mut requests: Vec<DeleteRequest>) -> Result<(), ApiError> {
        for request in &mut requests {
            request.key = self.key(&request.key)?;
        }
        let start = Instant::now();
        let result = match requests.len() {
            0 => return Ok(()),
            1 => self.guarded().delete(requests.remove(0)).await,
            _ => self.guarded().bulk_delete(requests).await,
        };
        self.done(Counted::StateBulkDelete, &result, start);
        result.map_err(|failure| etag_aware(&Failed::BulkDelete { store: &self.name }, &failure))
    }

    /// Applies operations together or not at all; the keys are the application's.
    ///
    /// # Errors
    /// The store has no transactions, takes fewer operations, or refused.
    pub async fn transact(
        &self,
        mut operations: Vec<Operation>,
        metadata: HashMap<String, String>,
    ) -> Result<(), ApiError> {
        let transactional = self.transactional()?;
        for operation in &mut operations {
            let key = match operation {
                Operation::Upsert(request) => &mut request.key,
                Operation::Delete(request) => &mut request.key,
            };
            *key = self.key(key)?;
            if let Operation::Upsert(request) = operation {
                let sealed = self.seal(request);
                sealed.map_err(|failure| transaction_failed(&failure))?;
            }
        }
        if let Some(most) = transactional
            .max_operations()
            .await
            .filter(|most| operations.len() > *most)
        {
            return Err(error::too_many_operations(
                &self.name,
                operations.len(),
                most,
            ));
        }
        let metadata = metadata.into_iter().collect();
        let start = Instant::now();
        let result = self
            .guarded()
            .transact(transactional, operations, &metadata)
            .await;
        self.done(Counted::StateTransaction, &result, start);
        result.map_err(|failure| transaction_failed(&failure))
    }

    /// The store's transactional side.
    ///
    /// # Errors
    /// It has none.
    pub fn transactional(&self) -> Result<&dyn Transactional, ApiError> {
        self.component
            .store
            .transactional()
            .ok_or_else(|| error::no_transactions(&self.name))
    }

    fn guarded(&self) -> Guarded<'_> {
        Guarded {
            store: &*self.component.store,
            name: &self.name,
            resiliency: &self.resiliency,
        }
    }

    fn done<T, E>(&self, operation: Counted, result: &Result<T, E>, start: Instant) {
        self.metrics.done((operation, &self.name), result, start);
    }

    /// Whether its values are encrypted.
    pub fn encrypts(&self) -> bool {
        self.component.encryption.is_some()
    }

    /// A JSON value of the HTTP API as it is stored; none at all is `null`. Where values are encrypted a string is its
    /// text, without quotes, as upstream has it: both kinds of sidecars share the store.
    ///
    /// # Errors
    /// The text of a string cannot be one, or the value is nested too deep.
    pub fn document(&self, value: Option<&RawValue>) -> Result<Value, serde_json::Error> {
        let value = value.unwrap_or(RawValue::NULL);
        if self.encrypts() && value.get().starts_with('"') {
            let text: String = serde_json::from_str(value.get())?;
            return Ok(Value::Binary(text.into()));
        }
        document::compact(value).map(Value::Json)
    }

    fn seal(&self, request: &mut SetRequest) -> Result<(), StateError> {
        let Some(encryption) = &self.component.encryption else {
            return Ok(());
        };
        let sealed = encryption.seal(request.value.bytes());
        request.value = Value::Binary(sealed.map_err(|error| unreadable(&error))?);
        // What is stored is no document any more, which some stores go by.
        request.metadata.remove("contentType");
        Ok(())
    }

    fn opened(&self, item: Item) -> Result<Item, StateError> {
        let Some(encryption) = &self.component.encryption else {
            return Ok(item);
        };
        let value = encryption.open(&item.value);
        let value = value.map_err(|error| unreadable(&error))?;
        Ok(Item { value, ..item })
    }
}

/// Why all of it failed, where the store says how that is to be answered.
fn as_a_whole(items: &[BulkItem]) -> Option<&StateError> {
    let (first, others) = items.split_first()?;
    let failure = first.result.as_ref().err()?;
    let same = |item: &BulkItem| item.result.as_ref().err() == Some(failure);
    let is_custom = matches!(failure, StateError::Custom(_));
    (is_custom && others.iter().all(same)).then_some(failure)
}

fn unreadable(error: &EncryptionError) -> StateError {
    StateError::Store(error.to_string())
}

/// An operation that upstream knows by this name.
///
/// # Errors
/// The name is unknown.
pub fn unknown_operation(name: &str) -> ApiError {
    error::unknown_operation(name)
}

#[cfg(test)]
mod tests;
