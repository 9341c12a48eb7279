//! What the tests share.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_components::state::{
    GetRequest, Item, Operation, SetRequest, StateError, StateStore, Value,
};
use trilby_testkit::servers::etcd::Etcd;

pub(crate) type Store = Arc<dyn StateStore>;

/// Both versions.
pub(crate) const VERSIONS: [&str; 2] = ["v1", "v2"];

pub(crate) async fn create(version: &str, pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let metadata = Metadata::new(pairs.iter().copied()).expect("no name is given twice");
    let registry = Registry::default().with(trilby_components_etcd::backends());
    let context = ComponentContext::default();
    let created = registry.create("state.etcd", version, context, metadata);
    match created.await? {
        Instance::State(store) => Ok(store),
        other => panic!("not a state store: {other:?}"),
    }
}

pub(crate) async fn at(address: SocketAddr, version: &str) -> Result<Store, CreateError> {
    let endpoint = address.to_string();
    // Versions do not read each other's values.
    create(
        version,
        &[("endpoints", &endpoint), ("keyPrefixPath", version)],
    )
    .await
}

pub(crate) async fn open(etcd: &Etcd, version: &str) -> Store {
    at(etcd.address(), version).await.expect("etcd runs")
}

pub(crate) fn binary(key: &str, value: impl Into<Bytes>) -> SetRequest {
    SetRequest::new(key, Value::Binary(value.into()))
}

pub(crate) async fn transact(
    store: &Store,
    operations: impl IntoIterator<Item = Operation>,
) -> Result<(), StateError> {
    let transactional = store.transactional().unwrap();
    let operations = operations.into_iter().collect();
    transactional
        .transact(operations, &RequestMetadata::new())
        .await
}

pub(crate) async fn item(store: &Store, key: &str) -> Option<Item> {
    store.get(GetRequest::new(key)).await.unwrap()
}

pub(crate) async fn value(store: &Store, key: &str) -> Option<Bytes> {
    item(store, key).await.map(|item| item.value)
}

pub(crate) async fn etag(store: &Store, key: &str) -> String {
    item(store, key).await.and_then(|item| item.etag).unwrap()
}

pub(crate) fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, StateError>) -> bool {
    matches!(result, Err(StateError::Unavailable(_)))
}

pub(crate) fn is_mismatch<T: std::fmt::Debug>(result: &Result<T, StateError>) -> bool {
    matches!(result, Err(StateError::EtagMismatch(_)))
}
