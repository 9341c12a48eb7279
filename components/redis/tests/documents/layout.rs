//! How documents are kept, and what becomes of them where hashes are wanted.

use std::time::Duration;

use trilby_components::RequestMetadata;
use trilby_components::conformance::state::calls::{binary, is_mismatch};
use trilby_components::state::{
    Concurrency, DeleteRequest, GetRequest, Operation, StateError, Ttl,
};
use trilby_testkit::servers::redis::Redis;

use super::{create, item, json, metadata};

#[tokio::test]
async fn the_layout_is_upstreams() {
    let redis = Redis::with_modules().await;
    let store = create(&redis, &[]).await.unwrap();
    store.set(json("key", r#"{"a":[1,"x"]}"#)).await.unwrap();
    assert_eq!(
        redis.command(&["JSON.GET", "key"]),
        r#"{"data":{"a":[1,"x"]},"version":1}"#
    );
    let mut first = json("key", r#""text""#);
    first.etag = Some("1".into());
    first.options.concurrency = Concurrency::FirstWrite;
    first.ttl = Some(Ttl::After(Duration::from_secs(1_000)));
    store.set(first).await.unwrap();
    assert_eq!(
        redis.command(&["JSON.GET", "key"]),
        r#"{"data":"text","first-write":0,"version":2}"#
    );
    let left: u32 = redis.command(&["TTL", "key"]).parse().unwrap();
    assert!((900..=1_000).contains(&left), "{left}");
    let found = item(&store, "key").await;
    assert_eq!(
        (&found.value[..], found.etag.as_deref()),
        (&br#""text""#[..], Some("2"))
    );
    let refused = store.set(json("key", "1")).await;
    assert!(is_mismatch(&refused), "{refused:?}");
}

#[tokio::test]
async fn what_upstream_wrote_is_read_and_guarded() {
    let redis = Redis::with_modules().await;
    let store = create(&redis, &[]).await.unwrap();
    redis.command(&[
        "JSON.SET",
        "key",
        "$",
        r#"{"data":{"a":1},"version":7,"first-write":0}"#,
    ]);
    let found = item(&store, "key").await;
    assert_eq!(
        (&found.value[..], found.etag.as_deref()),
        (&br#"{"a":1}"#[..], Some("7"))
    );
    let mut delete = DeleteRequest::new("key");
    delete.etag = Some("6".into());
    let refused = store.delete(delete.clone()).await;
    assert!(is_mismatch(&refused), "{refused:?}");
    delete.etag = Some("7".into());
    store.delete(delete).await.unwrap();
    assert_eq!(redis.command(&["EXISTS", "key"]), "0");
}

/// Upstream starts to count anew, and takes any etag.
#[tokio::test]
async fn etags_and_expiry_outlive_a_change_of_layout() {
    let redis = Redis::with_modules().await;
    let store = create(&redis, &[]).await.unwrap();
    let mut first = binary("key", "bytes");
    first.ttl = Some(Ttl::After(Duration::from_secs(1_000)));
    store.set(first).await.unwrap();
    let mut document = json("key", "[1]");
    document.etag = Some("2".into());
    let refused = store.set(document.clone()).await;
    assert!(is_mismatch(&refused), "{refused:?}");
    document.etag = Some("1".into());
    store.set(document).await.unwrap();
    let found = item(&store, "key").await;
    assert_eq!(
        (&found.value[..], found.etag.as_deref()),
        (&b"[1]"[..], Some("2"))
    );
    assert!(found.expires_at.is_some());
    store.set(binary("key", "bytes")).await.unwrap();
    let mut asked = GetRequest::new("key");
    asked.metadata = metadata("contentType", "application/json");
    let found = store.get(asked).await.unwrap().unwrap();
    assert_eq!(
        (&found.value[..], found.etag.as_deref()),
        (&b"bytes"[..], Some("3"))
    );
    assert!(found.expires_at.is_some());
}

#[tokio::test]
async fn numbers_have_all_their_digits() {
    let redis = Redis::with_modules().await;
    let store = create(&redis, &[]).await.unwrap();
    let numbers = "[9007199254740993,18446744073709551615,-9223372036854775808,0.1]";
    store.set(json("key", numbers)).await.unwrap();
    assert_eq!(item(&store, "key").await.value, numbers);
}

#[tokio::test]
async fn a_transaction_may_be_about_json_as_a_whole() {
    let redis = Redis::with_modules().await;
    let store = create(&redis, &[]).await.unwrap();
    let set = |key: &str, value: &'static str| Operation::Upsert(binary(key, value));
    let transactional = store.transactional().unwrap();
    let whole = metadata("contentType", "application/json");
    let operations = vec![set("a", "1"), set("b", "[2]")];
    transactional.transact(operations, &whole).await.unwrap();
    assert_eq!(redis.command(&["JSON.GET", "b", ".data"]), "[2]");
    let operations = vec![set("a", "3"), set("b", "no JSON")];
    let refused = transactional.transact(operations.clone(), &whole).await;
    assert!(
        matches!(refused, Err(StateError::InvalidRequest(_))),
        "{refused:?}"
    );
    assert_eq!(item(&store, "a").await.value, "1");
    let plain = RequestMetadata::new();
    transactional.transact(operations, &plain).await.unwrap();
    assert_eq!(redis.command(&["HGET", "b", "data"]), "no JSON");
}

#[tokio::test]
async fn a_document_of_somebody_elses_is_an_error_that_names_the_key() {
    let redis = Redis::with_modules().await;
    let store = create(&redis, &[]).await.unwrap();
    redis.command(&["JSON.SET", "key", "$", r#"{"version":7}"#]);
    let error = store.get(GetRequest::new("key")).await.unwrap_err();
    assert!(
        matches!(&error, StateError::Store(text) if text.contains("\"key\"")),
        "{error:?}"
    );
}

/// As upstream.
#[tokio::test]
async fn without_the_module_json_is_kept_as_a_hash() {
    let redis = Redis::start().await;
    let store = create(&redis, &[]).await.unwrap();
    store.set(json("key", "[1]")).await.unwrap();
    assert_eq!(redis.command(&["HGET", "key", "data"]), "[1]");
    assert!(store.queryable().is_none());
}
