//! Rows that have expired leave the table.

use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::postgres::Postgres;

use crate::support::{VERSIONS, binary, open, value};

#[tokio::test]
async fn what_has_expired_leaves_the_table() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let extra = [
            ("cleanupInterval", "1s"),
            ("tableName", "c"),
            ("tablePrefix", "c_"),
        ];
        let store = open(&postgres, version, &extra).await;
        let (table, columns, expired) = match version {
            "v1" => (
                "c",
                "key, value, isbinary, expiredate",
                "'gone', '1', false",
            ),
            _ => ("c_state", "key, value, expires_at", "'gone', '1'"),
        };
        postgres.sql(&format!(
            "INSERT INTO {table} ({columns}) VALUES ({expired}, now() - interval '9 s')"
        ));
        store.set(binary("stays", "1")).await.unwrap();
        let rows = format!("SELECT key FROM {table} WHERE key != 'probe'");
        eventually("the row that has expired is gone", async || {
            store
                .set(binary("probe", "1"))
                .await
                .map_err(|error| error.to_string())?;
            match postgres.sql(&rows) {
                rows if rows == "stays" => Ok(()),
                rows => Err(rows),
            }
        })
        .await;
        assert_eq!(value(&store, "stays").await.as_deref(), Some(&b"1"[..]));
    }
    let noted = "SELECT key FROM dapr_metadata WHERE key LIKE 'last%' ORDER BY key";
    assert_eq!(
        postgres.sql(noted),
        "last-cleanup\nlast-cleanup-state-v2-c_"
    );
}

#[tokio::test]
async fn it_stays_where_that_is_asked_for() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[("cleanupInterval", "-1")]).await;
    postgres.sql(
        "INSERT INTO state (key, value, expires_at) VALUES ('old', '1', now() - interval '9 s')",
    );
    for _ in 0..20 {
        store.set(binary("probe", "1")).await.unwrap();
    }
    assert_eq!(value(&store, "old").await, None);
    assert_eq!(postgres.sql("SELECT count(*) FROM state"), "2");
}

/// A cleaning that is held up costs a connection, not the writes; it is done as soon as it can be.
#[tokio::test]
async fn writes_do_not_wait_for_it() {
    let postgres = Postgres::start().await;
    let store = open(
        &postgres,
        "v2",
        &[("cleanupInterval", "1s"), ("timeout", "60s")],
    )
    .await;
    postgres.sql(
        "INSERT INTO state (key, value, expires_at) VALUES ('old', '1', now() - interval '9 s')",
    );
    let other = postgres
        .session("BEGIN; SELECT key FROM state WHERE key = 'old' FOR UPDATE;")
        .await;
    for _ in 0..50 {
        store.set(binary("probe", "1")).await.unwrap();
    }
    assert_eq!(postgres.sql("SELECT count(*) FROM state"), "2");
    drop(other);
    eventually("the row that has expired is gone", async || {
        store
            .set(binary("probe", "1"))
            .await
            .map_err(|error| error.to_string())?;
        match postgres.sql("SELECT count(*) FROM state") {
            rows if rows == "1" => Ok(()),
            rows => Err(rows),
        }
    })
    .await;
}
