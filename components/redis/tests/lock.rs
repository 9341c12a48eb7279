//! `lock.redis` on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, time::timeout};
use trilby_components::{
    conformance,
    lock::{Claim, LockError, LockStore, Release},
    metadata::Metadata,
    registry::{ComponentContext, CreateError, Instance, Registry},
};
use trilby_testkit::{eventually::eventually, servers::redis::Redis};

/// Longer than any limit that is set here, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Limits that end soon.
const SOON: [(&str, &str); 4] = [
    ("readTimeout", "200"),
    ("dialTimeout", "200"),
    ("redisMaxRetries", "1"),
    ("redisMinRetryInterval", "1"),
];

async fn create(host: &str, extra: &[(&str, &str)]) -> Result<Arc<dyn LockStore>, CreateError> {
    let pairs = [&[("redisHost", host)], extra].concat();
    let metadata = Metadata::new(pairs).expect("no name is given twice");
    let registry = Registry::default().with(trilby_components_redis::backends());
    let context = ComponentContext::default();
    match registry
        .create("lock.redis", "v1", context, metadata)
        .await?
    {
        Instance::Lock(store) => Ok(store),
        other => panic!("not a lock store: {other:?}"),
    }
}

async fn connect(redis: &Redis, extra: &[(&str, &str)]) -> Arc<dyn LockStore> {
    let host = redis.address().to_string();
    create(&host, extra).await.expect("redis runs")
}

async fn refusal(host: &str, extra: &[(&str, &str)]) -> CreateError {
    let creation = timeout(PATIENCE, create(host, extra)).await;
    let outcome = creation.expect("it ends");
    outcome.err().expect("it is refused")
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
    let redis = Redis::start().await;
    let store = connect(&redis, &[]).await;
    conformance::lock::run(&*store, "app").await;
}

#[tokio::test]
async fn the_layout_is_upstreams() {
    let redis = Redis::start().await;
    let store = connect(&redis, &[]).await;
    assert_eq!(store.try_lock(claim("lock||app||r", "me")).await, Ok(true));
    assert_eq!(redis.command(&["GET", "lock||app||r"]), "me");
    let left: u32 = redis.command(&["TTL", "lock||app||r"]).parse().unwrap();
    assert!((900..=1_000).contains(&left), "{left}");
    redis.command(&["SET", "lock||app||s", "upstream", "EX", "1000", "NX"]);
    assert_eq!(store.try_lock(claim("lock||app||s", "me")).await, Ok(false));
    assert_eq!(
        store.unlock("lock||app||s", "me").await,
        Ok(Release::Foreign)
    );
    assert_eq!(
        store.unlock("lock||app||s", "upstream").await,
        Ok(Release::Done)
    );
    assert_eq!(redis.command(&["EXISTS", "lock||app||s"]), "0");
}

#[tokio::test]
async fn what_is_no_lock_is_neither_taken_nor_removed() {
    let redis = Redis::start().await;
    let store = connect(&redis, &[]).await;
    redis.command(&["HSET", "lock||r", "data", "v"]);
    assert_eq!(store.try_lock(claim("lock||r", "me")).await, Ok(false));
    let refused = store.unlock("lock||r", "me").await;
    assert!(matches!(refused, Err(LockError::Store(_))), "{refused:?}");
    assert_eq!(redis.command(&["EXISTS", "lock||r"]), "1");
}

#[tokio::test]
async fn a_cluster_is_refused() {
    let refused = refusal("localhost", &[("redisType", "Cluster")]).await;
    assert!(!refused.is_transient(), "{refused}");
    assert_eq!(
        refused.to_string(),
        "this component does not support connecting to Redis Cluster"
    );
}

#[tokio::test]
async fn a_server_with_replicas_is_refused() {
    let (main, replica) = (Redis::start().await, Redis::start().await);
    let port = main.address().port().to_string();
    replica.command(&["REPLICAOF", "127.0.0.1", &port]);
    eventually("the replica is connected", async || {
        match main.command(&["INFO", "replication"]) {
            told if told.contains("connected_slaves:1") => Ok(()),
            told => Err(told),
        }
    })
    .await;
    let refused = refusal(&main.address().to_string(), &[]).await;
    assert!(!refused.is_transient(), "{refused}");
    let text = refused.to_string();
    assert!(text.starts_with("replication is not supported"), "{text}");
}

#[tokio::test]
async fn the_password_is_checked_at_start() {
    let redis = Redis::with_password("right").await;
    let store = connect(&redis, &[("redisPassword", "right")]).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    let host = redis.address().to_string();
    for wrong in [&[][..], &[("redisPassword", "wrong")]] {
        let refused = refusal(&host, wrong).await;
        assert!(refused.is_transient(), "{refused}");
        let expected = format!("redis store: error connecting to redis at {host}: ");
        assert!(refused.to_string().starts_with(&expected), "{refused}");
    }
}

#[tokio::test]
async fn a_user_needs_no_more_rights_than_locks_take() {
    let redis = Redis::start().await;
    redis.command(&[
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">secret",
        "~lock||*",
        "+set",
        "+get",
        "+del",
        "+evalsha",
        "+script|load",
    ]);
    let login = [("redisUsername", "app"), ("redisPassword", "secret")];
    let store = connect(&redis, &login).await;
    assert_eq!(store.try_lock(claim("lock||r", "me")).await, Ok(true));
    assert_eq!(store.unlock("lock||r", "me").await, Ok(Release::Done));
    let forbidden = store.try_lock(claim("other", "me")).await;
    assert!(
        matches!(forbidden, Err(LockError::Store(_))),
        "{forbidden:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_away_at_start_is_a_transient_error() {
    let redis = Redis::stopped();
    let refused = refusal(&redis.address().to_string(), &[]).await;
    assert!(refused.is_transient(), "{refused}");
}

#[tokio::test]
async fn a_silent_server_at_start_is_a_transient_error() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let refused = refusal(&host, &SOON).await;
    assert!(refused.is_transient(), "{refused}");
    assert!(refused.to_string().contains(&host), "{refused}");
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_seen() {
    let mut redis = Redis::start().await;
    let store = connect(&redis, &[]).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    for _ in 0..2 {
        redis.stop().await;
        redis.resume().await;
        assert_eq!(store.try_lock(claim("r", "you")).await, Ok(false));
    }
    redis.stop().await;
    redis.resume().await;
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
}

#[tokio::test]
async fn a_server_that_is_away_gives_no_lock_and_ends_none() {
    let mut redis = Redis::start().await;
    let store = connect(&redis, &SOON).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    redis.stop().await;
    let taken = store.try_lock(claim("s", "me")).await;
    assert!(is_unavailable(&taken), "{taken:?}");
    let ended = store.unlock("r", "me").await;
    assert!(is_unavailable(&ended), "{ended:?}");
    let address = redis.address().to_string();
    assert!(ended.unwrap_err().to_string().contains(&address));
    redis.resume().await;
    assert_eq!(redis.command(&["EXISTS", "r", "s"]), "1");
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_limit() {
    let mut redis = Redis::start().await;
    let store = connect(&redis, &SOON).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    redis.freeze();
    // Over the connection that is there, and over new ones.
    for _ in 0..2 {
        let late = timeout(PATIENCE, store.try_lock(claim("s", "me"))).await;
        let late = late.expect("it ends");
        assert!(is_unavailable(&late), "{late:?}");
        let late = timeout(PATIENCE, store.unlock("r", "me")).await;
        let late = late.expect("it ends");
        assert!(is_unavailable(&late), "{late:?}");
    }
    redis.thaw();
    eventually("it serves again", async || {
        store.try_lock(claim("t", "me")).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let redis = Redis::start().await;
    let store = connect(&redis, &[]).await;
    store.close().await;
    let refused = store.try_lock(claim("r", "me")).await.unwrap_err();
    assert!(
        refused.to_string().contains("the component was closed"),
        "{refused}"
    );
}
