//! Rows that have expired leave the table.

use trilby_components::state::SetRequest;
use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::mariadb::Mariadb;

use crate::support::{Store, binary, open, sql, value};

const OLD: &str = "INSERT INTO state (id, value, eTag, isbinary, expiredate)
                   VALUES ('old', '1', 'e', 0, CURRENT_TIMESTAMP - INTERVAL 9 SECOND)";

fn probe() -> SetRequest {
    binary("probe", "1")
}

/// Writes, until only these keys are left.
async fn only(mariadb: &Mariadb, store: &Store, keys: &str) {
    eventually("the row that has expired is gone", async || {
        let written = store.set(probe()).await;
        written.map_err(|error| error.to_string())?;
        match sql(mariadb, "SELECT GROUP_CONCAT(id ORDER BY id) FROM state") {
            found if found == keys => Ok(()),
            found => Err(found),
        }
    })
    .await;
}

#[tokio::test]
async fn what_has_expired_leaves_the_table() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[("cleanupInterval", "1s")]).await;
    sql(&mariadb, OLD);
    store.set(binary("stays", "1")).await.unwrap();
    only(&mariadb, &store, "probe,stays").await;
    assert_eq!(value(&store, "stays").await.as_deref(), Some(&b"1"[..]));
    // The time is noted as upstream's sidecars do and read it: by the server's clock.
    let noted =
        "SELECT id, TIMESTAMPDIFF(SECOND, value, NOW()) BETWEEN 0 AND 120 FROM dapr_metadata";
    assert_eq!(sql(&mariadb, noted), "last-cleanup\t1");
}

#[tokio::test]
async fn one_of_all_sidecars_does_it() {
    let mariadb = Mariadb::start().await;
    let first = open(&mariadb, &[]).await;
    first.set(probe()).await.unwrap();
    eventually("it is noted", async || {
        first
            .set(probe())
            .await
            .map_err(|error| error.to_string())?;
        match sql(&mariadb, "SELECT COUNT(*) FROM dapr_metadata") {
            count if count == "1" => Ok(()),
            count => Err(count),
        }
    })
    .await;
    sql(&mariadb, OLD);
    let second = open(&mariadb, &[]).await;
    for _ in 0..20 {
        second.set(probe()).await.unwrap();
    }
    assert_eq!(sql(&mariadb, "SELECT COUNT(*) FROM state"), "2");
}

#[tokio::test]
async fn it_stays_where_that_is_asked_for() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[("cleanupInterval", "-1")]).await;
    sql(&mariadb, OLD);
    for _ in 0..20 {
        store.set(probe()).await.unwrap();
    }
    assert_eq!(value(&store, "old").await, None);
    assert_eq!(sql(&mariadb, "SELECT COUNT(*) FROM state"), "2");
}

/// A cleaning that is held up costs a connection, not the writes; it is done as soon as it can be.
#[tokio::test]
async fn writes_do_not_wait_for_it() {
    let mariadb = Mariadb::start().await;
    let extra = [("cleanupInterval", "1s"), ("timeoutInSeconds", "60")];
    let store = open(&mariadb, &extra).await;
    sql(&mariadb, OLD);
    let other = mariadb
        .session("USE dapr_state_store; BEGIN; SELECT id FROM state WHERE id = 'old' FOR UPDATE")
        .await;
    for _ in 0..50 {
        store.set(probe()).await.unwrap();
    }
    assert_eq!(sql(&mariadb, "SELECT COUNT(*) FROM state"), "2");
    drop(other);
    only(&mariadb, &store, "probe").await;
}
