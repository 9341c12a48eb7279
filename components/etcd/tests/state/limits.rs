//! Keys and values at the edge of what the server can hold.

use bytes::Bytes;
use trilby_components::state::{GetRequest, Operation, StateError};
use trilby_testkit::servers::etcd::Etcd;

use crate::support::{VERSIONS, binary, create, open, transact, value};

#[tokio::test]
async fn every_character_may_be_in_a_key() {
    let etcd = Etcd::start().await;
    for version in VERSIONS {
        let store = open(&etcd, version).await;
        let characters = ('\0'..='\u{ff}').chain(['\u{fffd}', '\u{10ffff}', '👩']);
        let mut keys: Vec<String> = characters.map(String::from).collect();
        keys.extend(["".into(), " a ".into(), "a//b".into(), "k".repeat(10_000)]);
        let writes = keys.iter().map(|key| binary(key, key.clone())).collect();
        for written in store.bulk_set(writes).await {
            written.unwrap();
        }
        let requests = keys.iter().map(GetRequest::new).collect();
        for answer in store.bulk_get(requests, 16).await {
            let item = answer.result.unwrap().unwrap();
            assert_eq!(item.value, answer.key.as_bytes(), "{:?}", answer.key);
        }
    }
}

#[tokio::test]
async fn values_may_be_as_large_as_the_server_lets_them() {
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|at| (at % 251) as u8).collect();
    let large = Bytes::from(bytes);
    let etcd = Etcd::with_arguments(&["--max-request-bytes=16000000"]).await;
    for version in VERSIONS {
        let store = open(&etcd, version).await;
        store.set(binary("large", large.clone())).await.unwrap();
        assert!(value(&store, "large").await.unwrap() == large, "{version}");
    }
    let ordinary = Etcd::start().await;
    let store = open(&ordinary, "v1").await;
    let above = store.set(binary("above", large.slice(..1_600_000)));
    let refused = above.await.unwrap_err();
    assert!(
        matches!(&refused, StateError::InvalidRequest(_)),
        "{refused}"
    );
    // Far above, its gRPC library answers, as it does when there is no space.
    let refused = store.set(binary("large", large)).await.unwrap_err();
    assert!(refused.to_string().contains("larger than max"), "{refused}");
    store.set(binary("key", "x")).await.unwrap();
}

#[tokio::test]
async fn a_transaction_may_have_as_many_keys_as_the_server_lets_it() {
    let etcd = Etcd::with_arguments(&["--max-txn-ops=1000"]).await;
    let endpoint = etcd.address().to_string();
    let pairs = [("endpoints", endpoint.as_str()), ("maxTxnOps", "1000")];
    let store = create("v2", &pairs).await.unwrap();
    let most = store.transactional().unwrap().max_operations().await;
    assert_eq!(most, Some(1_000));
    let writes = |count: u32| {
        let keys = (0..count).map(|number| number.to_string());
        keys.map(|key| Operation::Upsert(binary(&key, key.clone())))
    };
    transact(&store, writes(1_000)).await.unwrap();
    assert_eq!(value(&store, "999").await.unwrap(), "999");
    let refused = transact(&store, writes(1_001)).await.unwrap_err();
    assert!(
        matches!(&refused, StateError::InvalidRequest(text) if text.contains("too many operations")),
        "{refused}"
    );
    assert_eq!(value(&store, "1000").await, None);
}

/// Its space is used up: it says so, and what is there can be read.
#[tokio::test]
async fn a_server_without_space_is_read() {
    let etcd = Etcd::with_arguments(&["--quota-backend-bytes=4000000"]).await;
    let store = open(&etcd, "v2").await;
    store.set(binary("key", "x")).await.unwrap();
    let mut refused = None;
    for number in 0..20 {
        let filler = binary(number.to_string(), vec![b'x'; 1_000_000]);
        refused = store.set(filler).await.err();
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("there is no room for twenty megabytes");
    assert!(
        matches!(&refused, StateError::Unavailable(text) if text.contains("space")),
        "{refused}"
    );
    assert_eq!(value(&store, "key").await.unwrap(), "x");
}
