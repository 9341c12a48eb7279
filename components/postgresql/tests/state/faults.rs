//! A server that is away, silent, full or read-only.

use std::time::Duration;

use tokio::time::timeout;
use trilby_components::conformance::state::faults::{self, Turn};
use trilby_testkit::eventually::eventually;
use trilby_testkit::proxy::Proxy;
use trilby_testkit::servers::postgres::Postgres;
use trilby_testkit::small_disk::SmallDisk;

use crate::support::{VERSIONS, binary, create, is_unavailable, open, string, value};

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
    faults::heals(&*store, async |turn| match turn {
        Turn::Down => postgres.stop().await,
        Turn::Up => postgres.resume().await,
    })
    .await;
    faults::heals(&*store, async |turn| match turn {
        Turn::Down => postgres.crash().await,
        Turn::Up => postgres.resume().await,
    })
    .await;
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_seen_by_reads() {
    let mut postgres = Postgres::start().await;
    let store = open(&postgres, "v1", &[]).await;
    faults::a_restart_is_not_seen_by_reads(&*store, async |turn| match turn {
        Turn::Down => postgres.stop().await,
        Turn::Up => postgres.resume().await,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_crash() {
    let mut postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    faults::what_was_acknowledged_outlives_a_crash(&*store, async |turn| match turn {
        Turn::Down => postgres.crash().await,
        Turn::Up => postgres.resume().await,
    })
    .await;
}

#[tokio::test]
async fn a_request_ends_with_its_limit_and_leaves_nothing_behind() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[("timeout", "1s")]).await;
    let mut other = None;
    faults::what_others_hold_costs_the_limit(&*store, async |turn| match turn {
        Turn::Down => other = Some(postgres.session("BEGIN; LOCK TABLE state;").await),
        Turn::Up => {
            is_given_up(&postgres).await;
            drop(other.take());
        }
    })
    .await;
}

/// Waits until the server does not work any more on what nobody waits for.
async fn is_given_up(postgres: &Postgres) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    eventually("the server has given up, too", async || {
        match postgres.sql(waiting).as_str() {
            "0" => Ok(()),
            count => Err(count.to_owned()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_costs_its_limit() {
    let postgres = Postgres::start().await;
    let proxy = Proxy::to(postgres.address()).await;
    let string = string(proxy.address());
    let pairs = [("url", string.as_str()), ("timeout", "1s")];
    let store = create("v2", &pairs).await.unwrap();
    let silent = async |turn| match turn {
        Turn::Down => proxy.hold_up(),
        Turn::Up => proxy.open(),
    };
    faults::silence_costs_the_limit(&*store, "did not answer within 1s", silent).await;
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

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    for version in VERSIONS {
        let disk = SmallDisk::of_megabytes(8);
        let postgres = Postgres::on(&disk).await;
        let store = open(&postgres, version, &[]).await;
        faults::a_full_disk_is_told(
            &*store,
            "No space left on device",
            async |turn| match turn {
                Turn::Down => disk.fill(),
                Turn::Up => disk.clear(),
            },
        )
        .await;
    }
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
