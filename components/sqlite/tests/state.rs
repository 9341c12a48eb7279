//! `state.sqlite` on real files.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use trilby_components::conformance::state::calls::{self, Store, binary, etag, json, value};
use trilby_components::conformance::state::faults::{self, Turn};
use trilby_components::conformance::state::limits;
use trilby_components::{
    RequestMetadata, conformance,
    registry::CreateError,
    state::{
        Concurrency, GetRequest, KeysLike, LikePattern, Operation, SetRequest, StateError, Ttl,
        Value,
    },
};
use trilby_testkit::small_disk::SmallDisk;

async fn create(type_name: &str, pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let backends = trilby_components_sqlite::backends();
    calls::create(backends, (type_name, "v1"), pairs).await
}

async fn open(file: &Path, extra: &[(&str, &str)]) -> Store {
    let file = file.to_str().unwrap();
    let mut pairs = vec![("connectionString", file)];
    pairs.extend_from_slice(extra);
    create("state.sqlite", &pairs).await.unwrap()
}

fn one<T: rusqlite::types::FromSql>(connection: &Connection, question: &str) -> T {
    connection
        .query_row(question, [], |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn it_is_a_state_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state.db"), &[]).await;
    conformance::state::run(&*store, "app").await;
    assert_eq!(
        store.capabilities(),
        trilby_components_sqlite::definitions()[0].capabilities
    );
}

#[tokio::test]
async fn it_is_a_state_store_in_memory_and_with_a_rollback_journal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let memory = create("state.sqlite3", &[("url", ":memory:")])
        .await
        .unwrap();
    conformance::state::run(&*memory, "memory").await;
    conformance::state::run(&*open(&file, &[("disableWAL", "true")]).await, "app").await;
}

#[tokio::test]
async fn the_layout_is_upstreams() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let store = open(&file, &[]).await;
    store
        .set(json("app||json", r#"{"n":9007199254740993}"#))
        .await
        .unwrap();
    let mut bytes = binary("app||bytes", &b"\x00\xff"[..]);
    bytes.ttl = Some(Ttl::After(Duration::from_secs(100)));
    store.set(bytes).await.unwrap();
    let connection = Connection::open(&file).unwrap();
    let text = |question: &str| one::<String>(&connection, question);
    assert_eq!(
        text(
            "SELECT value FROM state WHERE key = 'app||json' AND NOT is_binary AND expiration_time IS NULL"
        ),
        r#"{"n":9007199254740993}"#
    );
    assert_eq!(
        text("SELECT value FROM state WHERE key = 'app||bytes' AND is_binary"),
        "AP8="
    );
    assert_eq!(text("SELECT typeof(value) FROM state LIMIT 1"), "text");
    assert_eq!(
        text("SELECT value FROM metadata WHERE key = 'migrations'"),
        "1"
    );
    let expiry = text("SELECT expiration_time FROM state WHERE key = 'app||bytes'");
    assert_eq!(expiry.len(), "2026-01-01 00:00:00".len(), "{expiry}");
    let columns = "SELECT group_concat(name) FROM pragma_table_info('state')";
    assert_eq!(
        text(columns),
        "key,value,is_binary,etag,expiration_time,update_time"
    );
    assert_eq!(text("PRAGMA journal_mode"), "wal");
}

#[tokio::test]
async fn rows_of_upstreams_sidecar_are_read_and_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let store = open(&file, &[]).await;
    let connection = Connection::open(&file).unwrap();
    let insert = |row: &str| {
        let columns = "key, value, is_binary, etag, expiration_time";
        connection
            .execute(&format!("INSERT INTO state ({columns}) VALUES ({row})"), [])
            .unwrap();
    };
    insert("'json', '\"text\"', 0, 'e1', NULL");
    insert("'bytes', 'aGk=', 1, 'e2', DATETIME(CURRENT_TIMESTAMP, '+60 seconds')");
    insert("'old', '1', 0, 'e3', DATETIME(CURRENT_TIMESTAMP, '-1 seconds')");
    insert("'broken', '***', 1, 'e4', NULL");
    assert_eq!(
        value(&store, "json").await.as_deref(),
        Some(&b"\"text\""[..])
    );
    assert_eq!(value(&store, "bytes").await.as_deref(), Some(&b"hi"[..]));
    assert_eq!(value(&store, "old").await, None);
    let broken = store.get(GetRequest::new("broken")).await.unwrap_err();
    assert!(
        matches!(&broken, StateError::Store(text) if text.contains("broken")),
        "{broken}"
    );
    let mut create = json("old", "2");
    create.options.concurrency = Concurrency::FirstWrite;
    store
        .set(create)
        .await
        .expect("what has expired is not there");
    let mut guarded = json("json", "2");
    guarded.etag = Some("e1".into());
    store.set(guarded).await.unwrap();
}

#[tokio::test]
async fn a_second_table_of_a_file_is_made_although_the_note_says_done() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let first = open(&file, &[]).await;
    let second = open(&file, &[("tableName", "other")]).await;
    first.set(json("key", "1")).await.unwrap();
    assert_eq!(value(&second, "key").await, None);
}

#[tokio::test]
async fn values_stay_when_the_store_is_closed_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let store = open(&file, &[]).await;
    store.set(json("key", "1")).await.unwrap();
    store.close().await;
    let closed = store.get(GetRequest::new("key")).await;
    assert!(
        matches!(closed, Err(StateError::Unavailable(_))),
        "{closed:?}"
    );
    assert_eq!(
        value(&open(&file, &[]).await, "key").await.as_deref(),
        Some(&b"1"[..])
    );
}

/// Two sidecars, one file: each adds to a counter by its etag, and tries again when it was too late.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost_between_two_sidecars() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let stores = [open(&file, &[]).await, open(&file, &[]).await];
    stores[0].set(binary("count", "0")).await.unwrap();
    let adding = stores.clone().map(|store| tokio::spawn(add(store, 100)));
    for added in adding {
        added.await.unwrap();
    }
    assert_eq!(
        value(&stores[0], "count").await.as_deref(),
        Some(&b"200"[..])
    );
}

async fn add(store: Store, times: u32) {
    let mut added = 0;
    while added < times {
        let item = store.get(GetRequest::new("count")).await.unwrap().unwrap();
        let count: u32 = std::str::from_utf8(&item.value).unwrap().parse().unwrap();
        let mut set = SetRequest::new("count", Value::Binary((count + 1).to_string().into()));
        set.etag = item.etag;
        match store.set(set).await {
            Ok(()) => added += 1,
            Err(StateError::EtagMismatch(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_transaction_judges_all_etags_before_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state.db"), &[]).await;
    store.set(json("a", "1")).await.unwrap();
    let mut again = json("a", "3");
    again.etag = Some(etag(&store, "a").await);
    let operations = vec![
        Operation::Upsert(json("a", "2")),
        Operation::Upsert(again.clone()),
    ];
    let transactional = store.transactional().unwrap();
    transactional
        .transact(operations, &RequestMetadata::new())
        .await
        .unwrap();
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"3"[..]));
    let operations = vec![Operation::Upsert(json("b", "1")), Operation::Upsert(again)];
    let late = transactional
        .transact(operations, &RequestMetadata::new())
        .await;
    assert!(matches!(late, Err(StateError::EtagMismatch(_))), "{late:?}");
    assert_eq!(value(&store, "b").await, None);
}

#[tokio::test]
async fn keys_are_told_apart_by_case_and_special_characters() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state.db"), &[]).await;
    for key in ["a*b", "aXb", "A*b", "a?b", "a[b", "a]b", "ab"] {
        store.set(json(key, "1")).await.unwrap();
    }
    let listed = async |pattern: &str| {
        let request = KeysLike::new(LikePattern::parse(pattern).unwrap());
        let listing = store.key_listing().unwrap();
        listing.keys_like(request).await.unwrap().keys
    };
    assert_eq!(listed("a*b").await, ["a*b"]);
    assert_eq!(listed("a?b").await, ["a?b"]);
    assert_eq!(listed("a[b").await, ["a[b"]);
    assert_eq!(listed("a_b").await, ["a*b", "a?b", "aXb", "a[b", "a]b"]);
    assert_eq!(
        listed("a%").await,
        ["a*b", "a?b", "aXb", "a[b", "a]b", "ab"]
    );
}

/// Upstream pages by the number of the row, which each write changes: what is written meanwhile may be left out.
#[tokio::test]
async fn a_key_that_is_written_while_keys_are_listed_is_listed_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state.db"), &[]).await;
    for key in ["a", "b", "c", "d", "e"] {
        store.set(json(key, "1")).await.unwrap();
    }
    let mut request = KeysLike::new(LikePattern::parse("%").unwrap());
    request.page_size = Some(2);
    let mut listed = Vec::new();
    loop {
        let page = store.key_listing().unwrap().keys_like(request.clone());
        let page = page.await.unwrap();
        listed.extend(page.keys);
        request.token = page.next;
        if request.token.is_none() {
            break;
        }
        for key in ["a", "d", "c"] {
            store.set(json(key, "2")).await.unwrap();
        }
    }
    assert_eq!(listed, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn what_has_expired_leaves_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let store = open(&file, &[("cleanupInterval", "1s")]).await;
    let connection = Connection::open(&file).unwrap();
    store.set(json("stays", "1")).await.unwrap();
    let expired = "INSERT INTO state (key, value, is_binary, etag, expiration_time)
        VALUES ('gone', '1', 0, 'e', DATETIME(CURRENT_TIMESTAMP, '-9 seconds'))";
    connection.execute(expired, []).unwrap();
    let rows = || {
        one::<i64>(
            &connection,
            "SELECT count(*) FROM state WHERE key != 'probe'",
        )
    };
    while rows() > 1 {
        store.set(json("probe", "1")).await.unwrap();
    }
    assert_eq!(value(&store, "stays").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(
        one::<i64>(
            &connection,
            "SELECT count(*) FROM metadata WHERE key = 'last-cleanup'"
        ),
        1
    );
}

#[tokio::test]
async fn a_locked_file_is_an_answer_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let store = open(&file, &[("busyTimeout", "10ms")]).await;
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = store.set(json("key", "1")).await;
    assert!(
        matches!(refused, Err(StateError::Unavailable(_))),
        "{refused:?}"
    );
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(value(&store, "key").await, None);
    store.set(json("key", "2")).await.unwrap();
}

#[tokio::test]
async fn waiting_for_a_lock_ends_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let store = open(&file, &[("busyTimeout", "60s"), ("timeout", "1s")]).await;
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let both = tokio::join!(store.set(json("a", "1")), store.set(json("b", "1")));
    for late in [both.0, both.1] {
        assert!(matches!(late, Err(StateError::Unavailable(_))), "{late:?}");
    }
    connection.execute_batch("ROLLBACK").unwrap();
}

/// Upstream writes for those, too, who have given up.
#[tokio::test]
async fn who_gives_up_while_others_write_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let limits = [("busyTimeout", "60s"), ("timeout", "60s")];
    let store = open(&file, &limits).await;
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut first = store.set(json("first", "1"));
    let second = store.set(json("second", "1"));
    tokio::select! {
        biased;
        done = &mut first => panic!("the file is locked: {done:?}"),
        done = second => panic!("another one writes: {done:?}"),
        () = std::future::ready(()) => {}
    }
    connection.execute_batch("ROLLBACK").unwrap();
    first.await.unwrap();
    store.set(json("third", "1")).await.unwrap();
    assert_eq!(value(&store, "second").await, None);
}

/// With a log that is written first, and with a journal to go back by.
#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    for extra in [&[][..], &[("disableWAL", "true")]] {
        let disk = SmallDisk::of_megabytes(8);
        let store = open(&disk.path().join("state.db"), extra).await;
        faults::a_full_disk_is_told(&*store, "disk is full", async |turn| match turn {
            Turn::Down => disk.fill(),
            Turn::Up => disk.clear(),
        })
        .await;
        store.close().await;
    }
}

#[tokio::test]
async fn keys_and_values_may_be_odd_and_large() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state.db"), &[]).await;
    limits::keys(&*store, &[]).await;
    limits::values(&*store).await;
    limits::transactions(&*store).await;
}

#[tokio::test]
async fn two_sidecars_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    let (one, other) = (open(&file, &[]).await, open(&file, &[]).await);
    conformance::state::run_two([&*one, &*other], "meeting").await;
}

#[tokio::test]
async fn what_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    std::fs::write(
        &file,
        "this is a text of some length, and no database at all",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let refused = create("state.sqlite", &[("connectionString", path)]).await;
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains(path) && refused.contains("not a database"),
        "{refused}"
    );
    let absent = dir.path().join("no/such/folder.db");
    let absent = absent.to_str().unwrap();
    let refused = create("state.sqlite", &[("connectionString", absent)]).await;
    assert!(refused.err().unwrap().to_string().contains(absent));
}
