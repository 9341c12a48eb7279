//! What `state.redis` keeps to where upstream's does not, on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::sync::Arc;
use std::time::Duration;

use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, Instance, Registry};
use trilby_components::state::{
    Concurrency, DeleteRequest, GetRequest, Item, Operation, SetRequest, StateError, StateStore,
    Ttl, Value,
};
use trilby_testkit::servers::redis::Redis;

async fn open(redis: &Redis, extra: &[(&str, &str)]) -> Arc<dyn StateStore> {
    let host = redis.address().to_string();
    let mut pairs = vec![("redisHost", host.as_str())];
    pairs.extend_from_slice(extra);
    let registry = Registry::default().with(trilby_components_redis::backends());
    let (context, metadata) = (ComponentContext::default(), Metadata::new(pairs).unwrap());
    match registry
        .create("state.redis", "v1", context, metadata)
        .await
    {
        Ok(Instance::State(store)) => store,
        other => panic!("not a state store: {other:?}"),
    }
}

fn set(key: &str, value: &'static str) -> SetRequest {
    SetRequest::new(key, Value::Binary(value.into()))
}

async fn item(store: &dyn StateStore, key: &str) -> Option<Item> {
    store.get(GetRequest::new(key)).await.unwrap()
}

async fn transact(store: &dyn StateStore, operations: Vec<Operation>) -> Result<(), StateError> {
    let transactional = store.transactional().unwrap();
    transactional
        .transact(operations, &RequestMetadata::new())
        .await
}

fn is_mismatch<T>(result: &Result<T, StateError>) -> bool {
    matches!(result, Err(StateError::EtagMismatch(_)))
}

/// Upstream queues each command twice where `writeTimeout` is set: versions jump, and what has an etag fails.
#[tokio::test]
async fn a_transaction_under_a_limit_of_time_is_carried_out_once() {
    let redis = Redis::start().await;
    let store = open(&redis, &[("writeTimeout", "30s")]).await;
    for expected in ["1", "2", "3"] {
        let mut guarded = set("key", "x");
        guarded.etag = item(&*store, "key").await.and_then(|item| item.etag);
        let both = vec![
            Operation::Upsert(guarded),
            Operation::Upsert(set("other", "x")),
        ];
        transact(&*store, both).await.unwrap();
        for key in ["key", "other"] {
            assert_eq!(redis.command(&["HGET", key, "version"]), expected);
        }
    }
}

/// Upstream takes every error of a removal for an etag that does not match.
#[tokio::test]
async fn a_removal_that_fails_is_no_mismatch() {
    let mut redis = Redis::start().await;
    let store = open(&redis, &[("redisMaxRetries", "-1")]).await;
    redis.stop().await;
    for etag in [None, Some("1".to_owned())] {
        let mut removal = DeleteRequest::new("key");
        removal.etag = etag;
        let failed = store.delete(removal).await;
        assert!(
            matches!(failed, Err(StateError::Unavailable(_))),
            "{failed:?}"
        );
    }
}

/// Upstream sets the expiry by a second command: a crash in between leaves the value for ever.
#[tokio::test]
async fn a_value_and_its_expiry_are_one_command() {
    let redis = Redis::start().await;
    let store = open(&redis, &[]).await;
    let mut lasting = set("key", "x");
    lasting.ttl = Some(Ttl::After(Duration::from_secs(1000)));
    store.set(lasting.clone()).await.unwrap();
    redis.command(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    redis.command(&["SLOWLOG", "RESET"]);
    store.set(lasting).await.unwrap();
    redis.command(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
    let log = redis.command(&["SLOWLOG", "GET", "100"]);
    // What a script does is logged as nobody's. Besides the store, only this test's own RESET is somebody's.
    let asked = log.lines().filter(|line| line.starts_with("127.0.0.1:"));
    assert_eq!(asked.count(), 2, "{log}");
    assert!(log.contains("EVALSHA") && log.contains("EXPIRE"), "{log}");
    assert_ne!(redis.command(&["TTL", "key"]), "-1");
}

/// Upstream never tells when a value expires.
#[tokio::test]
async fn a_value_says_when_it_expires() {
    let redis = Redis::start().await;
    let store = open(&redis, &[]).await;
    let mut lasting = set("key", "x");
    lasting.ttl = Some(Ttl::After(Duration::from_secs(1000)));
    store.set(lasting).await.unwrap();
    assert!(item(&*store, "key").await.unwrap().expires_at.is_some());
}

/// Upstream writes over what is there, and keeps the first of two operations although the second is refused.
#[tokio::test]
async fn a_first_write_of_a_transaction_creates_or_nothing_is_written() {
    let redis = Redis::start().await;
    let store = open(&redis, &[]).await;
    let create = |key: &str| {
        let mut create = set(key, "x");
        create.options.concurrency = Concurrency::FirstWrite;
        Operation::Upsert(create)
    };
    transact(&*store, vec![create("a"), create("b")])
        .await
        .unwrap();
    let again = transact(&*store, vec![create("c"), create("b")]).await;
    assert!(is_mismatch(&again), "{again:?}");
    assert_eq!(item(&*store, "c").await, None);
}

/// Upstream creates what is not there, whatever the etag.
#[tokio::test]
async fn an_etag_creates_nothing() {
    let redis = Redis::start().await;
    let store = open(&redis, &[]).await;
    let mut guarded = set("absent", "x");
    guarded.etag = Some("1".into());
    let refused = store.set(guarded.clone()).await;
    assert!(is_mismatch(&refused), "{refused:?}");
    let operations = vec![
        Operation::Upsert(set("beside", "x")),
        Operation::Upsert(guarded),
    ];
    let refused = transact(&*store, operations).await;
    assert!(is_mismatch(&refused), "{refused:?}");
    assert_eq!(
        (item(&*store, "absent").await, item(&*store, "beside").await),
        (None, None)
    );
}
