//! `state.redis` with JSON documents, on a server that has the modules for them.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod as_documents;
mod layout;
mod queries;

use bytes::Bytes;
use trilby_components::conformance::state::INDEXED_FIELDS;
use trilby_components::conformance::state::calls::{self, Store};
use trilby_components::registry::CreateError;
use trilby_components::state::{Item, SetRequest};
use trilby_components::{RequestMetadata, conformance};
use trilby_testkit::servers::redis::Redis;

use as_documents::AsDocuments;

async fn create(redis: &Redis, extra: &[(&str, &str)]) -> Result<Store, CreateError> {
    let host = redis.address().to_string();
    // A busy machine is no broken one.
    let mut pairs = vec![("redisHost", host.as_str()), ("readTimeout", "60s")];
    pairs.extend_from_slice(extra);
    let backends = trilby_components_redis::backends();
    calls::create(backends, ("state.redis", "v1"), &pairs).await
}

/// One index, as its component says it.
fn setting(name: &str, fields: &[(&str, &str)]) -> String {
    let fields = fields.iter();
    let fields = fields.map(|(key, kind)| serde_json::json!({"key": key, "type": kind}));
    let fields: Vec<_> = fields.collect();
    serde_json::json!([{"name": name, "indexes": fields}]).to_string()
}

fn metadata(name: &str, value: &str) -> RequestMetadata {
    RequestMetadata::from([(name.to_owned(), value.to_owned())])
}

/// A document.
fn json(key: &str, text: impl Into<Bytes>) -> SetRequest {
    let mut set = calls::json(key, text);
    set.metadata = metadata("contentType", "application/json");
    set
}

/// What is read of a key by a request that says nothing of JSON.
async fn item(store: &Store, key: &str) -> Item {
    calls::item(store, key).await.expect("it is there")
}

#[tokio::test]
async fn documents_are_a_state_store() {
    let redis = Redis::with_modules().await;
    let indexes = setting("people", &INDEXED_FIELDS);
    let store = create(&redis, &[("queryIndexes", &indexes)]).await.unwrap();
    assert_eq!(
        store.capabilities(),
        trilby_components_redis::definitions()[0].capabilities
    );
    let index = metadata("queryIndexName", "people");
    let documents = AsDocuments(store);
    conformance::state::run_on_indexed_documents(&documents, "app", &index).await;
}

#[tokio::test]
async fn hashes_are_a_state_store_where_documents_are() {
    let redis = Redis::with_modules().await;
    let store = create(&redis, &[]).await.unwrap();
    conformance::state::run(&*store, "app").await;
}

#[tokio::test]
async fn two_sidecars_lose_no_document() {
    let redis = Redis::with_modules().await;
    let one = AsDocuments(create(&redis, &[]).await.unwrap());
    let other = AsDocuments(create(&redis, &[]).await.unwrap());
    conformance::state::run_two([&one, &other], "meeting").await;
}
