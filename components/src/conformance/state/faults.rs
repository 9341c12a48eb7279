//! A server that goes away, crashes or falls silent, and comes back.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use tokio::time::{Instant, interval, timeout};

use crate::{
    RequestMetadata,
    state::{GetRequest, Operation, SetRequest, StateError, StateStore, Value},
};

/// Longer than any limit of a request in a test, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many requests are under way at once.
const MANY: usize = 20;
/// What a full disk has no room for: this many values of [`LARGE`] bytes.
const FILLING: usize = 1_000;
/// The size of a value that fills a disk, in bytes. A database may have some room that it took before.
const LARGE: usize = 64 << 10;

/// What becomes of the server next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Requests are not answered any more.
    Down,
    /// They are again.
    Up,
}

fn binary(key: &str, value: impl Into<Bytes>) -> SetRequest {
    SetRequest::new(key, Value::Binary(value.into()))
}

fn is_unavailable<T>(result: &Result<T, StateError>) -> bool {
    matches!(result, Err(StateError::Unavailable(_)))
}

async fn value(store: &dyn StateStore, key: &str) -> Option<Bytes> {
    let read = store.get(GetRequest::new(key)).await;
    read.expect("reads succeed").map(|item| item.value)
}

/// Reads until the store serves again.
async fn served(store: &dyn StateStore, key: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut poll = interval(Duration::from_millis(50));
    while let Err(error) = store.get(GetRequest::new(key)).await {
        assert!(
            Instant::now() < deadline,
            "it does not serve again: {error}"
        );
        poll.tick().await;
    }
}

/// While its server is away, requests fail and say that they may succeed later; then they do.
///
/// # Panics
/// When the store breaks the rule.
pub async fn heals(store: &dyn StateStore, mut turn: impl AsyncFnMut(Turn)) {
    let write = |value: &'static str| store.set(binary("key", value));
    write("x").await.expect("the write succeeds");
    turn(Turn::Down).await;
    for answer in store.bulk_set(vec![binary("key", "y"); MANY]).await {
        assert!(is_unavailable(&answer), "{answer:?}");
    }
    let read = store.get(GetRequest::new("key")).await;
    assert!(is_unavailable(&read), "{read:?}");
    turn(Turn::Up).await;
    assert_eq!(value(store, "key").await.as_deref(), Some(&b"x"[..]));
    write("x").await.expect("the write succeeds again");
}

/// Of a restart between two requests, reads see nothing.
///
/// # Panics
/// When the store breaks the rule.
pub async fn a_restart_is_not_seen_by_reads(
    store: &dyn StateStore,
    mut turn: impl AsyncFnMut(Turn),
) {
    for answer in store.bulk_set(vec![binary("key", "x"); MANY]).await {
        answer.expect("the write succeeds");
    }
    turn(Turn::Down).await;
    turn(Turn::Up).await;
    let requests = vec![GetRequest::new("key"); MANY];
    for answer in store.bulk_get(requests, MANY).await {
        assert!(answer.result.expect("the read succeeds").is_some());
    }
}

/// Every write that was acknowledged outlives a crash in the middle of many, and no transaction is half there.
///
/// # Panics
/// When the store breaks the rule.
pub async fn what_was_acknowledged_outlives_a_crash(
    store: &dyn StateStore,
    mut turn: impl AsyncFnMut(Turn),
) {
    let crash = async {
        let mut poll = interval(Duration::from_millis(5));
        // Some are done, and the next ones are under way.
        while value(store, "right")
            .await
            .is_none_or(|value| value.len() < 2)
        {
            poll.tick().await;
        }
        turn(Turn::Down).await;
    };
    let (acknowledged, ()) = join(writes_until_a_failure(store), crash).await;
    turn(Turn::Up).await;
    let left = value(store, "left").await.expect("it was written");
    let right = value(store, "right").await;
    assert_eq!(
        right.as_ref(),
        Some(&left),
        "a transaction is all or nothing"
    );
    let last: u32 = String::from_utf8_lossy(&left)
        .parse()
        .expect("it is a number");
    // The one that was under way may have been done as well.
    assert!(
        last == acknowledged || last + 1 == acknowledged,
        "{last}, {acknowledged}"
    );
}

/// Counts, in a pair of keys at once, and says how many were acknowledged.
async fn writes_until_a_failure(store: &dyn StateStore) -> u32 {
    let transactional = store.transactional().expect("the store has transactions");
    let metadata = RequestMetadata::new();
    let mut acknowledged = 0;
    loop {
        let number = acknowledged.to_string();
        let pair = ["left", "right"].map(|key| Operation::Upsert(binary(key, number.clone())));
        match transactional.transact(pair.into(), &metadata).await {
            Ok(()) => acknowledged += 1,
            Err(StateError::Unavailable(_)) => return acknowledged,
            Err(other) => panic!("{other}"),
        }
    }
}

/// A server that does not answer costs a request its limit and no more, which the error tells in these words.
///
/// # Panics
/// When the store breaks the rule.
pub async fn silence_costs_the_limit(
    store: &dyn StateStore,
    told: &str,
    mut turn: impl AsyncFnMut(Turn),
) {
    let written = store.set(binary("key", "x")).await;
    written.expect("the write succeeds");
    turn(Turn::Down).await;
    // Over a connection that is there, and over new ones.
    for _ in 0..3 {
        let late = timeout(PATIENCE, store.get(GetRequest::new("key"))).await;
        let late = late.expect("it ends");
        assert!(is_unavailable(&late), "{late:?}");
        let late = timeout(PATIENCE, store.set(binary("key", "y"))).await;
        match late.expect("it ends") {
            Err(StateError::Unavailable(text)) => assert!(text.contains(told), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    turn(Turn::Up).await;
    served(store, "key").await;
}

/// Rows that others hold cost requests their limit; then the store serves as before, and nothing was written.
///
/// # Panics
/// When the store breaks the rule.
pub async fn what_others_hold_costs_the_limit(
    store: &dyn StateStore,
    mut turn: impl AsyncFnMut(Turn),
) {
    let written = store.set(binary("key", "x")).await;
    written.expect("the write succeeds");
    turn(Turn::Down).await;
    let requests = async {
        let read = store.get(GetRequest::new("key"));
        join(read, store.bulk_set(vec![binary("key", "y"); MANY])).await
    };
    let (read, writes) = timeout(PATIENCE, requests).await.expect("they end");
    assert!(is_unavailable(&read), "{read:?}");
    for write in writes {
        assert!(is_unavailable(&write), "{write:?}");
    }
    turn(Turn::Up).await;
    served(store, "key").await;
    assert_eq!(value(store, "key").await.as_deref(), Some(&b"x"[..]));
}

/// A disk that is full refuses writes in these words, and may take them later; what was acknowledged stays, of a
/// transaction that is refused nothing is there, and once there is room again, writes succeed.
///
/// # Panics
/// When the store breaks the rule.
pub async fn a_full_disk_is_told(
    store: &dyn StateStore,
    told: &str,
    mut turn: impl AsyncFnMut(Turn),
) {
    let key = |number: usize| format!("key{number}");
    let write = |number: usize| binary(&key(number), noise(number));
    let written = store.set(write(0)).await;
    written.expect("the write succeeds");
    turn(Turn::Down).await;
    let mut kept = 1;
    let refused = loop {
        assert!(kept < FILLING, "the disk has room");
        match store.set(write(kept)).await {
            Ok(()) => kept += 1,
            Err(refused) => break refused,
        }
    };
    assert!(refused.is_transient(), "{refused}");
    assert!(refused.to_string().contains(told), "{refused}");
    let transactional = store.transactional().expect("the store has transactions");
    let operations = (0..MANY).map(|at| Operation::Upsert(write(FILLING + at)));
    let metadata = RequestMetadata::new();
    let all = transactional
        .transact(operations.collect(), &metadata)
        .await;
    let all = all.expect_err("there is no room for all of it");
    assert!(all.to_string().contains(told), "{all}");
    let there = async || {
        for number in 0..kept {
            let found = value(store, &key(number)).await;
            assert!(found == Some(noise(number)), "key {number} of {kept}");
        }
        for number in [kept].into_iter().chain(FILLING..FILLING + MANY) {
            assert_eq!(value(store, &key(number)).await, None, "{number}");
        }
    };
    there().await;
    turn(Turn::Up).await;
    there().await;
    let again = store.set(write(kept)).await;
    again.expect("there is room again");
    assert!(value(store, &key(kept)).await == Some(noise(kept)));
}

/// Bytes that cannot be compressed.
fn noise(seed: usize) -> Bytes {
    let mut state = seed as u64;
    let bytes = (0..LARGE).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    bytes.collect()
}
