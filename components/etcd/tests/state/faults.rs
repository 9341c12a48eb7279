//! A server that is away or silent.

use std::time::Duration;

use tokio::time::timeout;
use trilby_components::state::{GetRequest, Operation, StateError};
use trilby_testkit::eventually::eventually;
use trilby_testkit::proxy::Proxy;
use trilby_testkit::servers::etcd::Etcd;

use crate::support::{VERSIONS, at, binary, create, is_unavailable, open, transact, value};

/// Longer than the limits of the store, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_server_that_is_away_at_start_is_a_transient_error() {
    let etcd = Etcd::stopped();
    for version in VERSIONS {
        let creation = timeout(PATIENCE, at(etcd.address(), version)).await;
        let error = creation
            .expect("it answers")
            .err()
            .expect("there is no server");
        assert!(error.is_transient(), "{error}");
        let address = etcd.address().to_string();
        assert!(error.to_string().contains(&address), "{error}");
    }
}

#[tokio::test]
async fn it_heals_when_the_server_comes_back() {
    let mut etcd = Etcd::start().await;
    let store = open(&etcd, "v2").await;
    store.set(binary("key", "x")).await.unwrap();
    for round in 0..2 {
        match round {
            0 => etcd.stop().await,
            _ => etcd.crash().await,
        }
        for answer in store.bulk_set(vec![binary("key", "y"); 20]).await {
            assert!(is_unavailable(&answer), "{answer:?}");
        }
        let read = store.get(GetRequest::new("key")).await;
        assert!(is_unavailable(&read), "{read:?}");
        etcd.resume().await;
        assert_eq!(value(&store, "key").await.unwrap(), "x");
        store.set(binary("key", "x")).await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_seen_by_reads() {
    let mut etcd = Etcd::start().await;
    let store = open(&etcd, "v1").await;
    store.set(binary("key", "x")).await.unwrap();
    etcd.stop().await;
    etcd.resume().await;
    for answer in store.bulk_get(vec![GetRequest::new("key"); 20], 20).await {
        assert!(answer.result.unwrap().is_some());
    }
}

/// Members that are away cost nothing as long as one is there.
#[tokio::test]
async fn another_member_is_asked() {
    let (etcd, away) = (Etcd::start().await, Etcd::stopped());
    let endpoints = format!("{}, {}", away.address(), etcd.address());
    let store = create("v1", &[("endpoints", &endpoints)]).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    assert_eq!(value(&store, "key").await.unwrap(), "x");
}

/// Every write that was acknowledged is there, also after a crash.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_crash() {
    let mut etcd = Etcd::start().await;
    let store = open(&etcd, "v2").await;
    let writing = store.clone();
    let writer = tokio::spawn(async move {
        let mut acknowledged = 0_u32;
        loop {
            let number = acknowledged.to_string();
            let pair = ["left", "right"].map(|key| Operation::Upsert(binary(key, number.clone())));
            match transact(&writing, pair).await {
                Ok(()) => acknowledged += 1,
                Err(StateError::Unavailable(_)) => return acknowledged,
                Err(other) => panic!("{other}"),
            }
        }
    });
    eventually("some writes are done", async || {
        match value(&store, "right").await {
            Some(value) if value.len() > 1 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    etcd.crash().await;
    let acknowledged = writer.await.unwrap();
    etcd.resume().await;
    let left = value(&store, "left").await.unwrap();
    assert_eq!(
        value(&store, "right").await.unwrap(),
        left,
        "a transaction is all or nothing"
    );
    let last: u32 = std::str::from_utf8(&left).unwrap().parse().unwrap();
    // The one that was under way may have been done as well.
    assert!(
        last == acknowledged || last + 1 == acknowledged,
        "{last}, {acknowledged}"
    );
}

#[tokio::test]
async fn a_silent_server_costs_its_limit() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::to(etcd.address()).await;
    let store = at(proxy.address(), "v2").await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    proxy.hold_up();
    // Over a connection that is there, and over new ones.
    for _ in 0..2 {
        let late = timeout(PATIENCE, store.get(GetRequest::new("key"))).await;
        let late = late.expect("it ends");
        assert!(is_unavailable(&late), "{late:?}");
        let late = timeout(PATIENCE, store.set(binary("key", "y"))).await;
        let late = late.expect("it ends");
        assert!(is_unavailable(&late), "{late:?}");
    }
    proxy.open();
    eventually("it serves again", async || {
        store.get(GetRequest::new("key")).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_at_start_is_a_transient_error() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::to(etcd.address()).await;
    proxy.hold_up();
    let creation = timeout(PATIENCE, at(proxy.address(), "v1")).await;
    let error = creation.expect("it ends").err().expect("nobody answers");
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let etcd = Etcd::start().await;
    let store = open(&etcd, "v1").await;
    store.close().await;
    let error = store.get(GetRequest::new("key")).await.unwrap_err();
    assert!(
        error.to_string().contains("the component was closed"),
        "{error}"
    );
}
