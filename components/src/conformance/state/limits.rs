//! Keys and values at the edge of what a store can hold.

use bytes::Bytes;

use crate::{
    RequestMetadata,
    state::{GetRequest, Operation, SetRequest, StateStore, Value},
};

/// The size of a large value, in bytes.
const LARGE: u32 = 10_000_000;
/// The keys of a large transaction.
const MANY: u32 = 1_000;

fn binary(key: &str, value: impl Into<Bytes>) -> SetRequest {
    SetRequest::new(key, Value::Binary(value.into()))
}

async fn value(store: &dyn StateStore, key: &str) -> Bytes {
    let read = store.get(GetRequest::new(key)).await;
    read.expect("reads succeed")
        .expect("the key was written")
        .value
}

/// Every character but `none` may be in a key, upper case is not lower case, and blanks at the end count.
///
/// # Panics
/// When the store breaks a rule.
pub async fn keys(store: &dyn StateStore, none: &[char]) {
    let characters = ('\0'..='\u{ff}').chain(['\u{fffd}', '\u{10ffff}', '👩']);
    let characters = characters.filter(|character| !none.contains(character));
    let mut keys: Vec<String> = characters.map(|one| format!("key{one}")).collect();
    let odd = [
        "",
        "key",
        "KEY",
        "key  ",
        "\'; DROP TABLE state; --",
        "\u{65}\u{301}",
        "\u{e9}",
    ];
    keys.extend(odd.map(str::to_owned));
    keys.retain(|key| !key.contains(none));
    keys.sort_unstable();
    keys.dedup();
    let writes = keys.iter().map(|key| binary(key, key.clone())).collect();
    for written in store.bulk_set(writes).await {
        written.expect("the key can be written");
    }
    let requests = keys.iter().map(GetRequest::new).collect();
    for answer in store.bulk_get(requests, 8).await {
        let item = answer.result.expect("reads succeed");
        let found = item.map(|item| item.value);
        assert_eq!(
            found.as_deref(),
            Some(answer.key.as_bytes()),
            "{:?}",
            answer.key
        );
    }
}

/// A value may have nothing, and ten megabytes.
///
/// # Panics
/// When the store breaks a rule.
pub async fn values(store: &dyn StateStore) {
    let bytes: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    let large = Bytes::from(bytes);
    for (key, bytes) in [("large", large), ("nothing", Bytes::new())] {
        let written = store.set(binary(key, bytes.clone())).await;
        written.expect("the value can be written");
        assert!(value(store, key).await == bytes, "{key}");
    }
}

/// A transaction may have a thousand keys.
///
/// # Panics
/// When the store breaks a rule.
pub async fn transactions(store: &dyn StateStore) {
    let keys = (0..MANY).map(|number| number.to_string());
    let writes = keys.map(|key| Operation::Upsert(binary(&key, key.clone())));
    let transactional = store.transactional().expect("the store has transactions");
    let metadata = RequestMetadata::new();
    let done = transactional.transact(writes.collect(), &metadata).await;
    done.expect("the transaction succeeds");
    let last = (MANY - 1).to_string();
    assert_eq!(value(store, &last).await, last.as_bytes());
}
