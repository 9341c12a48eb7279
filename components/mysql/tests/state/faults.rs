//! A server that is away, silent, full or read-only.

use std::time::Duration;

use tokio::time::timeout;
use trilby_components::conformance::state::faults::{self, Turn};
use trilby_testkit::eventually::eventually;
use trilby_testkit::proxy::Proxy;
use trilby_testkit::servers::mariadb::Mariadb;

use crate::support::{binary, create, is_unavailable, open, sql, string, value};

/// Longer than any limit that is set here, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_server_that_is_away_at_start_is_a_transient_error() {
    let mariadb = Mariadb::stopped();
    let string = string(mariadb.address());
    let creation = timeout(PATIENCE, create(&[("connectionString", &string)])).await;
    let error = creation
        .expect("it answers")
        .err()
        .expect("there is no server");
    assert!(error.is_transient(), "{error}");
    let address = mariadb.address().to_string();
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn it_heals_when_the_server_comes_back() {
    let mut mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    faults::heals(&*store, async |turn| match turn {
        Turn::Down => mariadb.stop().await,
        Turn::Up => mariadb.resume().await,
    })
    .await;
    faults::heals(&*store, async |turn| match turn {
        Turn::Down => mariadb.crash().await,
        Turn::Up => mariadb.resume().await,
    })
    .await;
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_seen() {
    let mut mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    faults::a_restart_is_not_seen_by_reads(&*store, async |turn| match turn {
        Turn::Down => mariadb.stop().await,
        Turn::Up => mariadb.resume().await,
    })
    .await;
    let writes = store.bulk_set(vec![binary("key", "y"); 20]).await;
    assert!(writes.iter().all(Result::is_ok), "{writes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_crash() {
    let mut mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    faults::what_was_acknowledged_outlives_a_crash(&*store, async |turn| match turn {
        Turn::Down => mariadb.crash().await,
        Turn::Up => mariadb.resume().await,
    })
    .await;
}

#[tokio::test]
async fn a_request_ends_with_its_limit_and_leaves_nothing_behind() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[("timeoutInSeconds", "1")]).await;
    let mut other = None;
    faults::what_others_hold_costs_the_limit(&*store, async |turn| match turn {
        Turn::Down => {
            other = Some(
                mariadb
                    .session("USE dapr_state_store; LOCK TABLES state WRITE")
                    .await,
            )
        }
        Turn::Up => {
            is_given_up(&mariadb).await;
            drop(other.take());
        }
    })
    .await;
}

/// Waits until the server does not work any more on what nobody waits for.
async fn is_given_up(mariadb: &Mariadb) {
    let waiting =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'";
    eventually("the server has given up, too", async || {
        match mariadb.sql(waiting).as_str() {
            "0" => Ok(()),
            count => Err(count.to_owned()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_costs_its_limit() {
    let mariadb = Mariadb::start().await;
    let proxy = Proxy::to(mariadb.address()).await;
    let string = string(proxy.address());
    let pairs = [
        ("connectionString", string.as_str()),
        ("timeoutInSeconds", "1"),
    ];
    let store = create(&pairs).await.unwrap();
    let silent = async |turn| match turn {
        Turn::Down => proxy.hold_up(),
        Turn::Up => proxy.open(),
    };
    faults::silence_costs_the_limit(&*store, "did not answer within 1s", silent).await;
    proxy.hold_up();
    timeout(PATIENCE, store.close()).await.expect("it ends");
}

#[tokio::test]
async fn a_silent_server_at_start_is_a_transient_error() {
    let mariadb = Mariadb::start().await;
    let proxy = Proxy::to(mariadb.address()).await;
    proxy.hold_up();
    for (parameter, limit) in [("", "1"), ("&timeout=200ms", "60")] {
        let string = format!("{}{parameter}", string(proxy.address()));
        let pairs = [
            ("connectionString", string.as_str()),
            ("timeoutInSeconds", limit),
        ];
        let creation = timeout(PATIENCE, create(&pairs)).await.expect("it ends");
        let error = creation.err().expect("nobody answers");
        assert!(error.is_transient(), "{error}");
    }
}

/// A replica, say: what is there can be read.
#[tokio::test]
async fn a_server_that_takes_no_writes_is_read() {
    let mariadb = Mariadb::start().await;
    let before = open(&mariadb, &[]).await;
    before.set(binary("key", "x")).await.unwrap();
    // The superuser would be let through.
    mariadb.sql("CREATE USER app; GRANT ALL ON *.* TO app; REVOKE READ ONLY ADMIN ON *.* FROM app; SET GLOBAL read_only = 1");
    let string = format!("app@tcp({})/", mariadb.address());
    let store = create(&[("connectionString", &string)]).await.unwrap();
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"x"[..]));
    let refused = store.set(binary("key", "y")).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("read-only"), "{reason}");
    let pairs = [
        ("connectionString", string.as_str()),
        ("tableName", "other"),
    ];
    let unmade = create(&pairs).await.err().expect("it is not there");
    assert!(unmade.to_string().contains("read-only"), "{unmade}");
    mariadb.sql("SET GLOBAL read_only = 0");
    store.set(binary("key", "y")).await.unwrap();
}

#[tokio::test]
async fn a_server_without_free_connections_is_busy() {
    let mariadb = Mariadb::start().await;
    mariadb.sql("CREATE USER app WITH MAX_USER_CONNECTIONS 1; GRANT ALL ON *.* TO app");
    let string = format!("app@tcp({})/", mariadb.address());
    let pairs = [("connectionString", string.as_str())];
    let store = eventually("the first connection is free again", async || {
        let store = create(&pairs).await.map_err(|error| error.to_string())?;
        let written = store.set(binary("key", "x")).await;
        written.map(|()| store).map_err(|error| error.to_string())
    })
    .await;
    let refused = create(&pairs).await.err().expect("one is too many");
    assert!(refused.is_transient(), "{refused}");
    assert!(
        refused.to_string().contains("max_user_connections"),
        "{refused}"
    );
    assert_eq!(sql(&mariadb, "SELECT COUNT(*) FROM state"), "1");
    drop(store);
}
