//! `lock.etcd` on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use trilby_components::conformance;
use trilby_components::lock::{Claim, LockError, LockStore, Release};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_testkit::eventually::eventually;
use trilby_testkit::proxy::Proxy;
use trilby_testkit::servers::etcd::Etcd;

/// Longer than the limits of the store, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(90);

type Store = Arc<dyn LockStore>;

async fn create(address: SocketAddr, extra: &[(&str, &str)]) -> Result<Store, CreateError> {
    let endpoint = address.to_string();
    let pairs = [&[("endpoints", endpoint.as_str())], extra].concat();
    let metadata = Metadata::new(pairs).expect("no name is given twice");
    let registry = Registry::default().with(trilby_components_etcd::backends());
    let context = ComponentContext::default();
    let created = registry.create("lock.etcd", "v1", context, metadata);
    match timeout(PATIENCE, created).await.expect("it ends")? {
        Instance::Lock(store) => Ok(store),
        other => panic!("not a lock store: {other:?}"),
    }
}

async fn open(etcd: &Etcd) -> Store {
    create(etcd.address(), &[]).await.expect("etcd runs")
}

fn claim<'a>(resource: &'a str, owner: &'a str) -> Claim<'a> {
    Claim {
        resource,
        owner,
        life: Duration::from_secs(1_000),
    }
}

fn is_unavailable<T>(outcome: &Result<T, LockError>) -> bool {
    matches!(outcome, Err(LockError::Unavailable(_)))
}

#[tokio::test]
async fn it_is_a_lock_store() {
    let etcd = Etcd::start().await;
    conformance::lock::run(&*open(&etcd).await, "app").await;
}

#[tokio::test]
async fn many_sidecars_share_locks_under_one_path() {
    let etcd = Etcd::start().await;
    let stores = join_all((0..8).map(|_| open(&etcd))).await;
    let takes = stores.iter().enumerate().map(async |(number, store)| {
        let owner = number.to_string();
        store.try_lock(claim("r", &owner)).await.unwrap()
    });
    let taken = join_all(takes).await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
    let path = [("keyPrefixPath", "elsewhere")];
    let apart = create(etcd.address(), &path).await.unwrap();
    assert_eq!(apart.try_lock(claim("r", "me")).await, Ok(true));
    assert_eq!(etcd.get("elsewhere/r").await.unwrap(), b"me");
}

/// Nothing stays of what was given back or never taken: a cluster has room for so many leases only.
#[tokio::test]
async fn a_lease_goes_with_its_lock() {
    let etcd = Etcd::start().await;
    let store = open(&etcd).await;
    for _ in 0..3 {
        assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
        assert!(etcd.has_lease("/r").await);
        let owners: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let takes = owners.iter().map(|owner| store.try_lock(claim("r", owner)));
        for taken in join_all(takes).await {
            assert_eq!(taken, Ok(false));
        }
        assert_eq!(etcd.leases().await, 1);
        assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
        assert_eq!(etcd.leases().await, 0);
        let takes = owners.iter().map(|owner| store.try_lock(claim("r", owner)));
        let taken = join_all(takes).await;
        let winner = taken.iter().position(|taken| *taken == Ok(true)).unwrap();
        assert_eq!(etcd.leases().await, 1, "of {winner} alone");
        let released = store.unlock("r", &owners[winner]).await;
        assert_eq!(released, Ok(Release::Done));
    }
}

/// As an operator does it who knows what he does.
#[tokio::test]
async fn an_owner_written_by_hand_is_one() {
    let etcd = Etcd::start().await;
    let store = open(&etcd).await;
    etcd.put("/r", b"operator").await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(false));
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Foreign));
    assert_eq!(store.unlock("r", "operator").await, Ok(Release::Done));
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_at_start_is_a_transient_error() {
    let (away, etcd) = (Etcd::stopped(), Etcd::start().await);
    let silent = Proxy::to(etcd.address()).await;
    silent.hold_up();
    for address in [away.address(), silent.address()] {
        let refused = create(address, &[]).await.err().expect("nobody answers");
        assert!(refused.is_transient(), "{refused}");
    }
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_seen() {
    let mut etcd = Etcd::start().await;
    let store = open(&etcd).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    for resource in ["s", "t"] {
        etcd.stop().await;
        etcd.resume().await;
        assert_eq!(store.try_lock(claim(resource, "me")).await, Ok(true));
    }
    etcd.stop().await;
    etcd.resume().await;
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
}

/// What was given is still given after a restart, and after a crash.
#[tokio::test]
async fn locks_outlive_the_server() {
    let mut etcd = Etcd::start().await;
    let store = open(&etcd).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    for round in 0..2 {
        match round {
            0 => etcd.stop().await,
            _ => etcd.crash().await,
        }
        let taken = store.try_lock(claim("s", "me")).await;
        assert!(is_unavailable(&taken), "{taken:?}");
        let ended = store.unlock("r", "me").await;
        assert!(is_unavailable(&ended), "{ended:?}");
        etcd.resume().await;
        assert_eq!(store.try_lock(claim("r", "you")).await, Ok(false));
    }
    assert!(etcd.has_lease("/r").await);
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_limit() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::to(etcd.address()).await;
    let store = create(proxy.address(), &[]).await.unwrap();
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    proxy.hold_up();
    // Over the connection that is there, and over new ones.
    for _ in 0..2 {
        let late = timeout(PATIENCE, store.try_lock(claim("s", "me"))).await;
        let late = late.expect("it ends");
        assert!(is_unavailable(&late), "{late:?}");
        let late = timeout(PATIENCE, store.unlock("r", "me")).await;
        let late = late.expect("it ends");
        assert!(is_unavailable(&late), "{late:?}");
    }
    proxy.open();
    eventually("it serves again", async || {
        store.try_lock(claim("r", "you")).await.map(drop)
    })
    .await;
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
}

/// Its space is used up: it gives no lock, and says so; what is there can be given back.
#[tokio::test]
async fn a_server_without_space_gives_no_lock() {
    let etcd = Etcd::with_arguments(&["--quota-backend-bytes=4000000"]).await;
    let store = open(&etcd).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    let owner = "o".repeat(1_000_000);
    let mut refused = Ok(true);
    for number in 0..20 {
        refused = store.try_lock(claim(&number.to_string(), &owner)).await;
        if refused.is_err() {
            break;
        }
    }
    let refused = refused.expect_err("there is no room for twenty megabytes");
    assert!(
        matches!(&refused, LockError::Unavailable(text) if text.contains("space")),
        "{refused}"
    );
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let etcd = Etcd::start().await;
    let store = open(&etcd).await;
    store.close().await;
    let error = store.try_lock(claim("r", "me")).await.unwrap_err();
    assert!(
        error.to_string().contains("the component was closed"),
        "{error}"
    );
}
