//! Keys and values at the edge of what the server can hold.

use bytes::Bytes;
use trilby_components::state::{DeleteRequest, GetRequest, Operation, StateError};
use trilby_testkit::servers::postgres::Postgres;

use crate::support::{VERSIONS, binary, open, transact, value};

#[tokio::test]
async fn every_character_but_one_may_be_in_a_key() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let store = open(
            &postgres,
            version,
            &[("tablePrefix", "k_"), ("tableName", "k")],
        )
        .await;
        let characters = ('\u{1}'..='\u{ff}').chain(['\u{fffd}', '\u{10ffff}', '👩']);
        let mut keys: Vec<String> = characters.map(String::from).collect();
        keys.extend(["".into(), " a ".into(), "'; DROP TABLE k; --".into()]);
        let writes = keys.iter().map(|key| binary(key, key.clone())).collect();
        for written in store.bulk_set(writes).await {
            written.unwrap();
        }
        let requests = keys.iter().map(GetRequest::new).collect();
        for answer in store.bulk_get(requests, 1).await {
            let item = answer.result.unwrap().unwrap();
            assert_eq!(item.value, answer.key.as_bytes(), "{:?}", answer.key);
        }
    }
}

#[tokio::test]
async fn a_nul_in_a_key_is_refused_by_every_call() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    let key = "a\0b";
    let operations = vec![Operation::Upsert(binary(key, "1"))];
    for refused in [
        store.set(binary(key, "1")).await,
        store.get(GetRequest::new(key)).await.map(drop),
        store.delete(DeleteRequest::new(key)).await,
        transact(&store, operations).await,
    ] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, StateError::InvalidRequest(text) if text.contains(r"a\0b")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    // Nothing that could be compressed.
    let mut noise = 1_u32;
    let characters = (0..4_000).map(|_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (noise >> 24) as u8 % 90)
    });
    let key: String = characters.collect();
    let refused = store.set(binary(&key, "1")).await.unwrap_err();
    assert!(
        matches!(refused, StateError::InvalidRequest(_)),
        "{refused}"
    );
}

#[tokio::test]
async fn values_may_have_ten_megabytes() {
    let postgres = Postgres::start().await;
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|at| (at % 251) as u8).collect();
    let large = Bytes::from(bytes);
    for version in VERSIONS {
        let store = open(
            &postgres,
            version,
            &[("tablePrefix", "l_"), ("tableName", "l")],
        )
        .await;
        store.set(binary("large", large.clone())).await.unwrap();
        assert!(value(&store, "large").await.unwrap() == large, "{version}");
    }
}

#[tokio::test]
async fn a_transaction_may_have_a_thousand_keys() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let store = open(
            &postgres,
            version,
            &[("tablePrefix", "t_"), ("tableName", "t")],
        )
        .await;
        let keys = (0..1_000).map(|number| number.to_string());
        let writes = keys.map(|key| Operation::Upsert(binary(&key, key.clone())));
        let done = transact(&store, writes);
        done.await.unwrap();
        assert_eq!(value(&store, "999").await.as_deref(), Some(&b"999"[..]));
    }
}
