//! The tables, which are upstream's.

use std::time::Duration;

use trilby_components::state::{Concurrency, GetRequest, StateError, Ttl};
use trilby_testkit::servers::mariadb::Mariadb;

use crate::support::{binary, create, json, open, sql, string, value};

/// The table as upstream's sidecar 1.18 leaves it, in the database's own collation.
const UPSTREAMS: &str = "CREATE DATABASE dapr_state_store CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
    USE dapr_state_store;
    CREATE TABLE state (id VARCHAR(255) NOT NULL PRIMARY KEY, value JSON NOT NULL, isbinary BOOLEAN NOT NULL,
        insertDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        updateDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
        eTag VARCHAR(36) NOT NULL, expiredate TIMESTAMP NULL, INDEX expiredate_idx (expiredate));
    ALTER TABLE state ADD COLUMN row_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, ADD UNIQUE KEY row_id_uidx (row_id);
    CREATE TABLE dapr_metadata (id VARCHAR(255) NOT NULL PRIMARY KEY, value TEXT NOT NULL)";

/// Columns with type, whether they may be empty, default and more; and the indexes.
fn shape(mariadb: &Mariadb, database: &str, table: &str) -> String {
    mariadb.sql(&format!(
        "SELECT column_name, column_type, is_nullable, column_default, extra FROM information_schema.columns
         WHERE table_schema = '{database}' AND table_name = '{table}' ORDER BY ordinal_position;
         SELECT index_name, column_name, non_unique FROM information_schema.statistics
         WHERE table_schema = '{database}' AND table_name = '{table}' ORDER BY index_name"
    ))
}

#[tokio::test]
async fn the_tables_are_upstreams() {
    let mariadb = Mariadb::start().await;
    mariadb.sql(UPSTREAMS);
    let extra = [
        ("schemaName", "own"),
        ("tableName", "values_"),
        ("metadataTableName", "notes"),
    ];
    open(&mariadb, &extra).await;
    for (own, upstreams) in [("values_", "state"), ("notes", "dapr_metadata")] {
        let expected = shape(&mariadb, "dapr_state_store", upstreams);
        assert!(expected.contains("255"), "{expected}");
        assert_eq!(shape(&mariadb, "own", own), expected);
    }
}

#[tokio::test]
async fn rows_are_upstreams() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    let text = r#"{"b":9007199254740993,"a":1.10}"#;
    store.set(json("doc", text)).await.unwrap();
    store.set(binary("bytes", &b"\x00\xff"[..])).await.unwrap();
    let rows = "SELECT id, value, isbinary, expiredate IS NULL, row_id FROM state ORDER BY row_id";
    let expected = format!("doc\t{text}\t0\t1\t1\nbytes\t\"AP8=\"\t1\t1\t2");
    assert_eq!(sql(&mariadb, rows), expected);
    let mut again = binary("doc", "x");
    again.ttl = Some(Ttl::After(Duration::from_secs(1_000)));
    store.set(again).await.unwrap();
    let row = "SELECT value, isbinary, LENGTH(eTag), TIMESTAMPDIFF(SECOND, NOW(), expiredate) BETWEEN 900 AND 1000
               FROM state WHERE id = 'doc'";
    assert_eq!(sql(&mariadb, row), "\"eA==\"\t1\t36\t1");
}

#[tokio::test]
async fn rows_of_upstreams_sidecar_are_read_and_guarded() {
    let mariadb = Mariadb::start().await;
    mariadb.sql(UPSTREAMS);
    // Its connections have the time of the server, wherever that is.
    sql(
        &mariadb,
        r#"SET time_zone = '+05:00'; INSERT INTO state (id, value, eTag, isbinary, expiredate) VALUES
         ('json', '"text"', 'e1', 0, NULL), ('bytes', '"aGk="', 'e2', 1, CURRENT_TIMESTAMP + INTERVAL 600 SECOND),
         ('old', '1', 'e3', 0, CURRENT_TIMESTAMP - INTERVAL 1 SECOND), ('broken', '"***"', 'e4', 1, NULL)"#,
    );
    let store = open(&mariadb, &[("cleanupInterval", "0")]).await;
    assert_eq!(
        value(&store, "json").await.as_deref(),
        Some(&b"\"text\""[..])
    );
    assert_eq!(value(&store, "bytes").await.as_deref(), Some(&b"hi"[..]));
    let item = store.get(GetRequest::new("bytes")).await.unwrap().unwrap();
    let left = item.expires_at.unwrap().as_second() - jiff::Timestamp::now().as_second();
    assert!((500..=600).contains(&left), "{left}");
    assert_eq!(value(&store, "old").await, None);
    let broken = store.get(GetRequest::new("broken")).await.unwrap_err();
    assert!(
        matches!(&broken, StateError::Store(text) if text.contains("broken")),
        "{broken}"
    );
    let mut guarded = json("json", "2");
    guarded.etag = Some("e1".to_owned());
    store.set(guarded.clone()).await.unwrap();
    let late = store.set(guarded).await.unwrap_err();
    assert!(matches!(late, StateError::EtagMismatch(_)), "{late}");
    // Its keys are the same whatever their case, as they are for upstream's sidecar.
    let answers = store.bulk_get(vec![GetRequest::new("JSON")], 1).await;
    assert!(matches!(&answers[0].result, Ok(Some(_))), "{answers:?}");
}

/// Upstream's first write fails on one that is not removed yet.
#[tokio::test]
async fn a_row_that_has_expired_is_in_nobodys_way() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[("cleanupInterval", "0")]).await;
    sql(
        &mariadb,
        "INSERT INTO state (id, value, eTag, isbinary, expiredate)
         VALUES ('old', '1', 'e', 0, CURRENT_TIMESTAMP - INTERVAL 1 SECOND)",
    );
    let mut guarded = json("old", "2");
    guarded.etag = Some("e".to_owned());
    let gone = store.set(guarded).await.unwrap_err();
    assert!(matches!(gone, StateError::EtagMismatch(_)), "{gone}");
    let mut create = json("old", "3");
    create.options.concurrency = Concurrency::FirstWrite;
    store.set(create.clone()).await.unwrap();
    assert_eq!(value(&store, "old").await.as_deref(), Some(&b"3"[..]));
    let again = store.set(create).await.unwrap_err();
    assert!(matches!(again, StateError::EtagMismatch(_)), "{again}");
    assert_eq!(
        sql(&mariadb, "SELECT value, expiredate FROM state"),
        "3\tNULL"
    );
}

/// As sidecars before Dapr 1.11 left it, with rows.
#[tokio::test]
async fn an_old_table_is_brought_up_to_date() {
    let mariadb = Mariadb::start().await;
    mariadb.sql(
        "CREATE DATABASE dapr_state_store; USE dapr_state_store;
         CREATE TABLE state (id VARCHAR(255) NOT NULL PRIMARY KEY, value JSON NOT NULL, isbinary BOOLEAN NOT NULL,
            insertDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
            updateDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
            eTag VARCHAR(36) NOT NULL);
         INSERT INTO state (id, value, isbinary, eTag) VALUES ('one', '1', 0, 'e')",
    );
    // Many sidecars of an application start at once.
    let string = string(mariadb.address());
    let opening = (0..8).map(|_| {
        let string = string.clone();
        tokio::spawn(async move { create(&[("connectionString", &string)]).await })
    });
    for opened in opening.collect::<Vec<_>>() {
        let store = opened.await.unwrap().unwrap();
        assert_eq!(value(&store, "one").await.as_deref(), Some(&b"1"[..]));
        store.set(json("two", "2")).await.unwrap();
    }
    assert_eq!(
        sql(&mariadb, "SELECT id, expiredate FROM state ORDER BY row_id"),
        "one\tNULL\ntwo\tNULL"
    );
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    let refused = store.set(json("none", "{")).await.unwrap_err();
    assert!(
        matches!(refused, StateError::InvalidRequest(_)),
        "{refused}"
    );
}
