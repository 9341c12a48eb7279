//! `lock.postgresql` on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::time::timeout;
use trilby_components::conformance;
use trilby_components::lock::{Claim, LockError, LockStore, Release};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::postgres::{Postgres, USER};

/// Longer than any limit that is set here, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

type Store = Arc<dyn LockStore>;

async fn create(address: SocketAddr, extra: &[(&str, &str)]) -> Result<Store, CreateError> {
    let (host, port) = (address.ip(), address.port());
    let string = format!("host={host} port={port} user={USER} database={USER}");
    let pairs = [&[("connectionString", string.as_str())], extra].concat();
    let metadata = Metadata::new(pairs).expect("no name is given twice");
    let registry = Registry::default().with(trilby_components_postgresql::backends());
    let context = ComponentContext::default();
    let created = registry.create("lock.postgres", "v1", context, metadata);
    match timeout(PATIENCE, created).await.expect("it ends")? {
        Instance::Lock(store) => Ok(store),
        other => panic!("not a lock store: {other:?}"),
    }
}

async fn open(postgres: &Postgres, extra: &[(&str, &str)]) -> Store {
    let created = create(postgres.address(), extra).await;
    created.expect("postgres runs")
}

async fn refusal(address: SocketAddr, extra: &[(&str, &str)]) -> CreateError {
    create(address, extra).await.err().expect("it is refused")
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
    let postgres = Postgres::start().await;
    let store = open(&postgres, &[]).await;
    conformance::lock::run(&*store, "app").await;
}

#[tokio::test]
async fn it_is_a_lock_store_without_prepared_statements() {
    let postgres = Postgres::start().await;
    let extra = [("queryExecMode", "exec"), ("tableName", "public.locks")];
    let store = open(&postgres, &extra).await;
    conformance::lock::run(&*store, "app").await;
}

/// Whatever the database thinks of isolation.
#[tokio::test]
async fn it_is_a_lock_store_in_a_strict_database() {
    let postgres = Postgres::start().await;
    postgres.sql("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'");
    let store = open(&postgres, &[]).await;
    let owners: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for round in 0..10 {
        let resource = round.to_string();
        let takes = owners
            .iter()
            .map(|owner| store.try_lock(claim(&resource, owner)));
        let taken = join_all(takes).await;
        let winners = taken.iter().filter(|taken| **taken == Ok(true)).count();
        // Who was rolled back too often knows that he has nothing.
        let told = taken.iter().filter(|taken| is_unavailable(taken)).count();
        assert_eq!((winners, told < owners.len() - 1), (1, true), "{taken:?}");
    }
}

#[tokio::test]
async fn many_sidecars_make_the_table_at_once_and_share_it() {
    let postgres = Postgres::start().await;
    let stores = join_all((0..8).map(|_| open(&postgres, &[]))).await;
    let takes = stores.iter().enumerate().map(async |(number, store)| {
        let owner = number.to_string();
        store.try_lock(claim("r", &owner)).await.unwrap()
    });
    let taken = join_all(takes).await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
}

#[tokio::test]
async fn rights_on_the_table_are_enough() {
    let postgres = Postgres::start().await;
    open(&postgres, &[]).await;
    postgres.sql(
        "CREATE ROLE app LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO app;
         GRANT SELECT, INSERT, UPDATE, DELETE ON dapr_lock TO app",
    );
    let store = open(&postgres, &[("user", "app")]).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
    let unmade = [("user", "app"), ("tableName", "other")];
    let unmade = refusal(postgres.address(), &unmade).await.to_string();
    assert!(unmade.contains("permission denied"), "{unmade}");
}

#[tokio::test]
async fn locks_that_nobody_gives_back_are_removed() {
    let postgres = Postgres::start().await;
    open(&postgres, &[]).await;
    postgres.sql(
        "INSERT INTO dapr_lock SELECT number::text, 'a', now() - interval '1 s' FROM generate_series(1, 2500) AS number;
         INSERT INTO dapr_lock VALUES ('live', 'a', now() + interval '1 day')",
    );
    let count = || postgres.sql("SELECT count(*) FROM dapr_lock");
    let store = open(&postgres, &[]).await;
    // The first batches are full, so the next lock goes on.
    for left in ["1502", "503", "4"] {
        let resource = format!("r{left}");
        assert_eq!(store.try_lock(claim(&resource, "me")).await, Ok(true));
        assert_eq!(count(), left);
    }
    assert_eq!(store.try_lock(claim("live", "me")).await, Ok(false));
}

#[tokio::test]
async fn the_servers_clock_alone_decides() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, &[]).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    let life =
        "SELECT round(extract(epoch FROM expires_at - clock_timestamp()) / 100) FROM dapr_lock";
    assert_eq!(postgres.sql(life), "10");
    postgres.sql("UPDATE dapr_lock SET expires_at = clock_timestamp()");
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Absent));
    assert_eq!(store.try_lock(claim("r", "you")).await, Ok(true));
}

#[tokio::test]
async fn the_password_is_checked_at_start() {
    let postgres = Postgres::with_password("right").await;
    let store = open(&postgres, &[("password", "right")]).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    let refused = refusal(postgres.address(), &[("password", "wrong")]).await;
    assert!(refused.is_transient(), "{refused}");
    let refused = refused.to_string();
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
    assert!(!refused.contains("wrong"), "{refused}");
}

#[tokio::test]
async fn a_name_that_is_no_table_is_refused() {
    let nowhere = Postgres::stopped();
    let wrong = [("tableName", "locks; DROP TABLE locks")];
    let refused = refusal(nowhere.address(), &wrong).await;
    assert!(!refused.is_transient(), "{refused}");
    assert!(refused.to_string().contains("tableName"), "{refused}");
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_at_start_is_a_transient_error() {
    let away = Postgres::stopped().address();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for address in [away, silent.local_addr().unwrap()] {
        let refused = refusal(address, &[("timeout", "1s")]).await;
        assert!(refused.is_transient(), "{refused}");
        assert!(
            refused.to_string().contains(&address.to_string()),
            "{refused}"
        );
    }
}

/// What was given is still given after a restart, and after a crash.
#[tokio::test]
async fn locks_outlive_the_server() {
    let mut postgres = Postgres::start().await;
    let store = open(&postgres, &[]).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    for round in 0..2 {
        match round {
            0 => postgres.stop().await,
            _ => postgres.crash().await,
        }
        let taken = store.try_lock(claim("s", "me")).await;
        assert!(is_unavailable(&taken), "{taken:?}");
        let ended = store.unlock("r", "me").await;
        assert!(is_unavailable(&ended), "{ended:?}");
        postgres.resume().await;
        assert_eq!(store.try_lock(claim("r", "you")).await, Ok(false));
    }
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_limit_and_nothing_is_left_running() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, &[("timeout", "1s")]).await;
    assert_eq!(store.try_lock(claim("r", "me")).await, Ok(true));
    let other = postgres
        .session("BEGIN; LOCK TABLE dapr_lock IN ACCESS EXCLUSIVE MODE;")
        .await;
    let late = timeout(PATIENCE, store.try_lock(claim("s", "me"))).await;
    let late = late.expect("it ends");
    assert!(is_unavailable(&late), "{late:?}");
    let late = timeout(PATIENCE, store.unlock("r", "me")).await;
    let late = late.expect("it ends");
    assert!(is_unavailable(&late), "{late:?}");
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
        store.try_lock(claim("r", "you")).await.map(drop)
    })
    .await;
    assert_eq!(store.unlock("r", "me").await, Ok(Release::Done));
}
