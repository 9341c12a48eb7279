//! Keys and values at the edge of what the server can hold.

use std::time::Duration;

use trilby_components::conformance::state::limits;
use trilby_components::state::{DeleteRequest, GetRequest, Operation, StateError, Ttl};
use trilby_testkit::servers::mariadb::Mariadb;

use crate::support::{binary, open, transact, value};

#[tokio::test]
async fn keys_and_values_may_be_odd_and_large() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    limits::keys(&*store, &[]).await;
    limits::values(&*store).await;
    limits::transactions(&*store).await;
}

/// Upstream's layout has 255 characters for a key; a server that is not strict would cut what is longer.
#[tokio::test]
async fn a_key_that_is_too_long_is_refused_by_every_call() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    let longest = "ß".repeat(255);
    store.set(binary(&longest, "1")).await.unwrap();
    assert_eq!(value(&store, &longest).await.as_deref(), Some(&b"1"[..]));
    let key = &format!("{longest}x");
    for refused in [
        store.set(binary(key, "1")).await,
        store.get(GetRequest::new(key)).await.map(drop),
        store.delete(DeleteRequest::new(key)).await,
        transact(&store, [Operation::Upsert(binary(key, "1"))]).await,
    ] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, StateError::InvalidRequest(text) if text.contains("256 characters")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn what_the_server_cannot_hold_is_refused_once_and_for_all() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    let mut late = binary("key", "1");
    late.ttl = Some(Ttl::After(Duration::from_secs(i32::MAX as u64)));
    let large = binary("key", vec![0; 13_000_000]);
    for write in [late, large] {
        let refused = store.set(write).await.unwrap_err();
        assert!(
            matches!(refused, StateError::InvalidRequest(_)),
            "{refused}"
        );
    }
    assert_eq!(value(&store, "key").await, None);
    store.set(binary("key", vec![0; 12_000_000])).await.unwrap();
}
