//! A server that is away, silent, full or read-only.

use std::time::Duration;

use tokio::time::timeout;
use trilby_components::state::{GetRequest, Operation, StateError};
use trilby_testkit::eventually::eventually;
use trilby_testkit::proxy::Proxy;
use trilby_testkit::servers::postgres::Postgres;

use crate::support::{VERSIONS, binary, create, is_unavailable, open, string, transact, value};

/// Longer than any limit that is set here, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_server_that_is_away_at_start_is_a_transient_error() {
    let postgres = Postgres::stopped();
    let string = string(postgres.address());
    for version in VERSIONS {
        let pairs = [("connectionString", string.as_str())];
        let creation = timeout(PATIENCE, create(version, &pairs)).await;
        let error = creation
            .expect("it answers")
            .err()
            .expect("there is no server");
        assert!(error.is_transient(), "{error}");
        let address = postgres.address().to_string();
        assert!(error.to_string().contains(&address), "{error}");
    }
}

#[tokio::test]
async fn it_heals_when_the_server_comes_back() {
    let mut postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    store.set(binary("key", "x")).await.unwrap();
    for round in 0..2 {
        match round {
            0 => postgres.stop().await,
            _ => postgres.crash().await,
        }
        for answer in store.bulk_set(vec![binary("key", "y"); 20]).await {
            assert!(is_unavailable(&answer), "{answer:?}");
        }
        let read = store.get(GetRequest::new("key")).await;
        assert!(is_unavailable(&read), "{read:?}");
        postgres.resume().await;
        assert_eq!(value(&store, "key").await.as_deref(), Some(&b"x"[..]));
        store.set(binary("key", "x")).await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_seen_by_reads() {
    let mut postgres = Postgres::start().await;
    let store = open(&postgres, "v1", &[]).await;
    for answer in store.bulk_set(vec![binary("key", "x"); 20]).await {
        answer.unwrap();
    }
    postgres.stop().await;
    postgres.resume().await;
    for answer in store.bulk_get(vec![GetRequest::new("key"); 20], 20).await {
        assert!(answer.result.unwrap().is_some());
    }
}

/// Every write that was acknowledged is there, also after a crash.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_crash() {
    let mut postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    let writing = store.clone();
    let writer = tokio::spawn(async move {
        let mut acknowledged = 0;
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
    postgres.crash().await;
    let acknowledged: u32 = writer.await.unwrap();
    postgres.resume().await;
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
async fn a_request_ends_with_its_limit_and_leaves_nothing_behind() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[("timeout", "1s")]).await;
    store.set(binary("key", "x")).await.unwrap();
    let other = postgres.session("BEGIN; LOCK TABLE state;").await;
    let requests = async {
        let read = store.get(GetRequest::new("key"));
        let writes = store.bulk_set(vec![binary("key", "y"); 20]);
        tokio::join!(read, writes)
    };
    let (read, writes) = timeout(PATIENCE, requests).await.expect("they end");
    assert!(is_unavailable(&read), "{read:?}");
    for write in writes {
        assert!(is_unavailable(&write), "{write:?}");
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    eventually("the server has given up, too", async || {
        match postgres.sql(waiting).as_str() {
            "0" => Ok(()),
            count => Err(count.to_owned()),
        }
    })
    .await;
    drop(other);
    eventually("it serves again", async || {
        store.get(GetRequest::new("key")).await.map(drop)
    })
    .await;
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"x"[..]));
}

#[tokio::test]
async fn a_silent_server_costs_its_limit() {
    let postgres = Postgres::start().await;
    let proxy = Proxy::to(postgres.address()).await;
    let string = string(proxy.address());
    let pairs = [("url", string.as_str()), ("timeout", "1s")];
    let store = create("v2", &pairs).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    proxy.hold_up();
    // Over a connection that is there, and over new ones.
    for _ in 0..3 {
        let late = timeout(PATIENCE, store.get(GetRequest::new("key"))).await;
        let late = late.expect("it ends");
        assert!(is_unavailable(&late), "{late:?}");
        let late = timeout(PATIENCE, store.set(binary("key", "y"))).await;
        let late = late.expect("it ends").unwrap_err().to_string();
        assert!(late.contains("did not answer within 1s"), "{late}");
    }
    proxy.open();
    eventually("it serves again", async || {
        store.get(GetRequest::new("key")).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_at_start_is_a_transient_error() {
    let postgres = Postgres::start().await;
    let proxy = Proxy::to(postgres.address()).await;
    proxy.hold_up();
    let string = string(proxy.address());
    let pairs = [("url", string.as_str()), ("timeout", "1s")];
    let creation = timeout(PATIENCE, create("v2", &pairs))
        .await
        .expect("it ends");
    let error = creation.err().expect("nobody answers");
    assert!(error.is_transient(), "{error}");
}

/// A replica, say: what is there can be read.
#[tokio::test]
async fn a_server_that_takes_no_writes_is_read() {
    let postgres = Postgres::start().await;
    let before = open(&postgres, "v1", &[]).await;
    before.set(binary("key", "x")).await.unwrap();
    postgres.sql("ALTER DATABASE postgres SET default_transaction_read_only = on");
    let store = open(&postgres, "v1", &[]).await;
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"x"[..]));
    let refused = store.set(binary("key", "y")).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("read-only"), "{reason}");
    let string = string(postgres.address());
    let pairs = [("url", string.as_str()), ("tableName", "other")];
    let unmade = create("v1", &pairs).await.err().expect("it is not there");
    assert!(unmade.to_string().contains("read-only"), "{unmade}");
    postgres.sql(
        "BEGIN READ WRITE; ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT",
    );
    store.set(binary("key", "y")).await.unwrap();
}

#[tokio::test]
async fn a_server_without_free_connections_is_busy() {
    let postgres = Postgres::start().await;
    postgres.sql("CREATE ROLE app LOGIN CONNECTION LIMIT 1; GRANT ALL ON SCHEMA public TO app");
    let string = format!(
        "{} user=app",
        string(postgres.address()).replace("user=postgres", "")
    );
    let pairs = [("url", string.as_str())];
    let store = create("v2", &pairs).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    let refused = create("v2", &pairs).await.err().expect("one is too many");
    assert!(refused.is_transient(), "{refused}");
    assert!(
        refused.to_string().contains("too many connections"),
        "{refused}"
    );
}
