//! What the tests share.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_components::state::{GetRequest, Operation, SetRequest, StateError, StateStore, Value};
use trilby_testkit::servers::mariadb::{Mariadb, USER};

pub(crate) type Store = Arc<dyn StateStore>;

pub(crate) async fn create(pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let metadata = Metadata::new(pairs.iter().copied()).expect("no name is given twice");
    let registry = Registry::default().with(trilby_components_mysql::backends());
    let context = ComponentContext::default();
    match registry
        .create("state.mysql", "", context, metadata)
        .await?
    {
        Instance::State(store) => Ok(store),
        other => panic!("not a state store: {other:?}"),
    }
}

/// The connection string of a server, by way of another address or its own.
pub(crate) fn string(address: SocketAddr) -> String {
    format!("{USER}@tcp({address})/?allowNativePasswords=true")
}

pub(crate) async fn open(mariadb: &Mariadb, extra: &[(&str, &str)]) -> Store {
    let string = string(mariadb.address());
    let mut pairs = vec![("connectionString", string.as_str())];
    pairs.extend_from_slice(extra);
    create(&pairs).await.expect("mariadb runs")
}

/// Carries out statements in upstream's database.
pub(crate) fn sql(mariadb: &Mariadb, statements: &str) -> String {
    mariadb.sql(&format!("USE dapr_state_store; {statements}"))
}

pub(crate) fn binary(key: &str, value: impl Into<Bytes>) -> SetRequest {
    SetRequest::new(key, Value::Binary(value.into()))
}

pub(crate) fn json(key: &str, value: &'static str) -> SetRequest {
    SetRequest::new(key, Value::Json(value.into()))
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

pub(crate) async fn value(store: &Store, key: &str) -> Option<Bytes> {
    let item = store.get(GetRequest::new(key)).await.unwrap();
    item.map(|item| item.value)
}

pub(crate) fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, StateError>) -> bool {
    matches!(result, Err(StateError::Unavailable(_)))
}
