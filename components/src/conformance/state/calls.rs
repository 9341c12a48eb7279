//! Short forms of what tests of a store do again and again.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    RequestMetadata,
    metadata::Metadata,
    registry::{Backend, ComponentContext, CreateError, Instance, Registry},
    state::{
        GetRequest, Item, Operation, Query, QueryPage, QueryRequest, SetRequest, StateError,
        StateStore, Value,
    },
};

/// A store as a sidecar has it.
pub type Store = Arc<dyn StateStore>;

/// The store that a component with these fields is.
///
/// # Errors
/// The component cannot be created.
///
/// # Panics
/// A name is given twice, or the type is no state store.
pub async fn create(
    backends: Vec<Backend>,
    (type_name, version): (&str, &str),
    pairs: &[(&str, &str)],
) -> Result<Store, CreateError> {
    let metadata = Metadata::new(pairs.iter().copied()).expect("no name is given twice");
    let registry = Registry::default().with(backends);
    let context = ComponentContext::default();
    match registry
        .create(type_name, version, context, metadata)
        .await?
    {
        Instance::State(store) => Ok(store),
        other => panic!("not a state store: {other:?}"),
    }
}

/// A write of bytes.
pub fn binary(key: impl Into<String>, value: impl Into<Bytes>) -> SetRequest {
    SetRequest::new(key, Value::Binary(value.into()))
}

/// A write of a JSON document.
pub fn json(key: impl Into<String>, value: impl Into<Bytes>) -> SetRequest {
    SetRequest::new(key, Value::Json(value.into()))
}

/// What is kept under a key.
///
/// # Panics
/// The read fails.
pub async fn item(store: &Store, key: &str) -> Option<Item> {
    let read = store.get(GetRequest::new(key)).await;
    read.expect("reads succeed")
}

/// The value of a key.
///
/// # Panics
/// The read fails.
pub async fn value(store: &Store, key: &str) -> Option<Bytes> {
    item(store, key).await.map(|item| item.value)
}

/// The etag of a key.
///
/// # Panics
/// The read fails, or there is none.
pub async fn etag(store: &Store, key: &str) -> String {
    let item = item(store, key).await.expect("the key was written");
    item.etag.expect("a store with etags returns one")
}

/// Carries out a transaction.
///
/// # Errors
/// The store refuses it.
///
/// # Panics
/// The store has no transactions.
pub async fn transact(
    store: &Store,
    operations: impl IntoIterator<Item = Operation>,
) -> Result<(), StateError> {
    let transactional = store.transactional().expect("it has transactions");
    let operations = operations.into_iter().collect();
    transactional
        .transact(operations, &RequestMetadata::new())
        .await
}

/// Asks for what fits a query, among the keys that start with `prefix`.
///
/// # Errors
/// The store refuses it.
///
/// # Panics
/// It is no query, or the store answers none.
pub async fn query(
    store: &dyn StateStore,
    prefix: &str,
    text: &str,
    metadata: RequestMetadata,
) -> Result<QueryPage, StateError> {
    let queryable = store.queryable().expect("it answers queries");
    let request = QueryRequest {
        query: Query::parse(text.as_bytes()).expect("it is a query"),
        prefix: prefix.to_owned(),
        metadata,
    };
    queryable.query(request).await
}

/// The keys of what fits a query, in its order.
///
/// # Panics
/// As [`query`], or the store refuses it.
pub async fn keys_found(store: &Store, prefix: &str, text: &str) -> Vec<String> {
    let page = query(&**store, prefix, text, RequestMetadata::new()).await;
    let page = page.expect("it can be answered");
    page.matches.into_iter().map(|found| found.key).collect()
}

/// The store could not be asked.
pub fn is_unavailable<T>(result: &Result<T, StateError>) -> bool {
    matches!(result, Err(StateError::Unavailable(_)))
}

/// Something else was there than the etag said.
pub fn is_mismatch<T>(result: &Result<T, StateError>) -> bool {
    matches!(result, Err(StateError::EtagMismatch(_)))
}
