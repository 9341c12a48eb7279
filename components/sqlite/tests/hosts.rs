//! The resolver over a database file that others write as well.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::json;
use trilby_components::name_resolution::{Instance, NameResolver, Query};
use trilby_components_sqlite::SqliteResolver;

async fn start(file: &Path, app_id: &str, namespace: &str) -> SqliteResolver {
    let instance = Instance {
        app_id: app_id.to_owned(),
        namespace: namespace.to_owned(),
        host: "127.0.0.1".to_owned(),
        internal_port: 7000 + u16::from(app_id.as_bytes()[0]),
        ..Instance::default()
    };
    // Rows stay young for longer than any test runs, but for those written old.
    let settings = json!({ "connectionString": file.to_str().unwrap(), "updateInterval": "1000s" });
    SqliteResolver::new(&instance, &settings).await.unwrap()
}

async fn find(resolver: &SqliteResolver, app_id: &str, namespace: &str) -> Result<String, String> {
    let query = Query {
        app_id,
        namespace,
        port: 1,
    };
    let found = resolver.resolve(&query).await;
    found.map_err(|error| error.to_string())
}

/// Writes a row as upstream's sidecar does: without a namespace.
fn write(file: &Path, (address, app_id): (&str, &str), age: i64) {
    let connection = Connection::open(file).unwrap();
    let row = params![address, address, app_id, age];
    connection
        .execute(
            "REPLACE INTO hosts (registration_id, address, app_id, namespace, last_update)
             VALUES (?, ?, ?, '', unixepoch() - ?)",
            row,
        )
        .unwrap();
}

#[tokio::test]
async fn sidecars_that_share_a_file_find_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("names.db");
    let (a, b) = (start(&file, "a", "").await, start(&file, "b", "").await);
    assert_eq!(find(&a, "b", "").await.as_deref(), Ok("127.0.0.1:7098"));
    assert_eq!(find(&b, "a", "").await.as_deref(), Ok("127.0.0.1:7097"));
    assert_eq!(
        find(&a, "c", "").await.unwrap_err(),
        "no host found with the given ID: c"
    );
}

#[tokio::test]
async fn rows_of_upstreams_sidecars_are_found_while_they_are_young() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("names.db");
    let a = start(&file, "a", "ns").await;
    write(&file, ("10.0.0.1:1", "young"), 0);
    write(&file, ("10.0.0.2:1", "old"), 2000);
    assert_eq!(find(&a, "young", "ns").await.as_deref(), Ok("10.0.0.1:1"));
    assert!(find(&a, "old", "ns").await.is_err());
}

#[tokio::test]
async fn equal_applications_of_two_namespaces_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("names.db");
    let a = start(&file, "a", "one").await;
    let _b = start(&file, "b", "two").await;
    assert_eq!(find(&a, "b", "two").await.as_deref(), Ok("127.0.0.1:7098"));
    assert!(find(&a, "b", "one").await.is_err());
}

#[tokio::test]
async fn a_sidecar_that_withdraws_is_no_longer_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("names.db");
    let (a, b) = (start(&file, "a", "").await, start(&file, "b", "").await);
    b.withdraw().await;
    assert!(find(&a, "b", "").await.is_err());
    assert!(find(&b, "a", "").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_lost_registration_is_written_again_instead_of_ending_the_sidecar() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("names.db");
    let a = start(&file, "a", "").await;
    let connection = Connection::open(&file).unwrap();
    connection.execute("DELETE FROM hosts", []).unwrap();
    let rows = || {
        let count = "SELECT count(*) FROM hosts WHERE app_id = 'a'";
        connection
            .query_row(count, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let written = async {
        while rows() == 0 {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        error = a.keep() => panic!("{error}"),
        () = written => {}
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({ "connectionString": dir.path().join("no/such/names.db") });
    let error = SqliteResolver::new(&Instance::default(), &settings).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no/such/names.db"), "{error}");
}
