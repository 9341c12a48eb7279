//! `state.mongodb` on a server of MongoDB's protocol.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::time::timeout;
use trilby_components::conformance;
use trilby_components::conformance::state::calls::{
    self, Store, binary, is_mismatch, is_unavailable, keys_found, transact, value,
};
use trilby_components::registry::CreateError;
use trilby_components::state::{Concurrency, DeleteRequest, GetRequest, Operation, Ttl};
use trilby_testkit::eventually::eventually;
use trilby_testkit::proxy::Proxy;
use trilby_testkit::servers::mongodb::{MongoDb, REPLICA_SET};

/// Longer than any limit that is set here, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(90);
/// A limit that no test is to meet.
const GENEROUS: (&str, &str) = ("operationTimeout", "60s");

async fn create(pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let backends = trilby_components_mongodb::backends();
    calls::create(backends, ("state.mongodb", "v1"), pairs).await
}

async fn at(address: SocketAddr, extra: &[(&str, &str)]) -> Result<Store, CreateError> {
    let host = address.to_string();
    let params = format!("replicaSet={REPLICA_SET}");
    let mut pairs = vec![("host", host.as_str()), ("params", &params)];
    pairs.extend_from_slice(extra);
    create(&pairs).await
}

async fn open(server: &MongoDb) -> Store {
    at(server.address(), &[GENEROUS]).await.expect("it runs")
}

/// Has the server keep these documents, as upstream's sidecar would.
fn insert(server: &MongoDb, documents: Json) {
    let insert = json!({"insert": "daprCollection", "documents": documents});
    server.command("daprStore", &insert);
}

/// The document of a key, as the server has it.
fn document(server: &MongoDb, key: &str) -> Json {
    let find = json!({"find": "daprCollection", "filter": {"_id": key}});
    server.command("daprStore", &find)["cursor"]["firstBatch"][0].clone()
}

#[tokio::test]
async fn it_is_a_state_store() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    conformance::state::run_on_documents(&*store, "app").await;
    assert_eq!(
        store.capabilities(),
        trilby_components_mongodb::definitions()[0].capabilities
    );
}

#[tokio::test]
async fn two_sidecars_lose_nothing() {
    let server = MongoDb::start().await;
    let (one, other) = (open(&server).await, open(&server).await);
    conformance::state::run_two([&*one, &*other], "meeting").await;
}

#[tokio::test]
async fn the_layout_is_upstreams() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    for (set, expected) in [
        (binary("bytes", "text"), json!("text")),
        (calls::json("string", r#""text""#), json!("\"text\"")),
        (
            calls::json("document", r#"{"a":[1,2.5,"x"]}"#),
            json!({"a": [1, 2.5, "x"]}),
        ),
    ] {
        let key = set.key.clone();
        store.set(set).await.unwrap();
        let found = document(&server, &key);
        assert_eq!(found["value"], expected);
        assert_eq!(found["_ttl"], Json::Null);
        let item = store.get(GetRequest::new(&key)).await.unwrap().unwrap();
        assert_eq!(found["_etag"].as_str(), item.etag.as_deref());
    }
    let mut short = binary("short", "x");
    short.ttl = Some(Ttl::After(Duration::from_secs(100)));
    store.set(short).await.unwrap();
    assert!(document(&server, "short")["_ttl"].get("$date").is_some());
}

#[tokio::test]
async fn what_upstream_wrote_is_read() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    insert(
        &server,
        json!([
            {"_id": "double", "value": {"n": {"$numberDouble": "5.0"}}, "_etag": "e", "_ttl": null},
            {"_id": "quoted", "value": "\"text\"", "_etag": "e"},
            {"_id": "over", "value": "x", "_etag": "e", "_ttl": {"$date": "2020-01-01T00:00:00Z"}},
        ]),
    );
    let double = store.get(GetRequest::new("double")).await.unwrap().unwrap();
    assert_eq!(
        (&double.value[..], double.etag.as_deref()),
        (&br#"{"n":5}"#[..], Some("e"))
    );
    assert_eq!(value(&store, "quoted").await.unwrap(), "\"text\"");
    assert_eq!(value(&store, "over").await, None);
}

#[tokio::test]
async fn queries_look_into_what_upstream_wrote_but_not_into_what_has_expired() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    let over = json!({"$date": "2020-01-01T00:00:00Z"});
    insert(
        &server,
        json!([
            {"_id": "app||double", "value": {"n": {"$numberDouble": "5.0"}}, "_etag": "e", "_ttl": null},
            {"_id": "app||list", "value": {"n": [5, 7]}, "_etag": "e"},
            {"_id": "app||over", "value": {"n": 5}, "_etag": "e", "_ttl": over},
            {"_id": "app||text", "value": "{\"n\":5}", "_etag": "e"},
            {"_id": "app|}", "value": {"n": 5}, "_etag": "e"},
        ]),
    );
    let prefix = "app||";
    let five = keys_found(&store, prefix, r#"{"filter":{"EQ":{"n":5}}}"#).await;
    assert_eq!(five, ["app||double", "app||list"]);
    let all = keys_found(&store, prefix, "{}").await;
    assert_eq!(all, ["app||double", "app||list", "app||text"]);
}

/// Unlike upstream's, which inserts it.
#[tokio::test]
async fn an_etag_creates_nothing() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    let mut guarded = binary("key", "x");
    guarded.etag = Some("etag".into());
    let refused = store.set(guarded).await;
    assert!(is_mismatch(&refused), "{refused:?}");
    assert_eq!(value(&store, "key").await, None);
    let mut delete = DeleteRequest::new("key");
    delete.etag = Some("etag".into());
    let refused = store.delete(delete).await;
    assert!(is_mismatch(&refused), "{refused:?}");
}

/// The server removes it up to a minute later.
#[tokio::test]
async fn a_first_write_takes_the_place_of_what_has_expired() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    let over = json!({"$date": "2020-01-01T00:00:00Z"});
    insert(
        &server,
        json!([{"_id": "key", "value": "x", "_etag": "e", "_ttl": over}]),
    );
    let mut guarded = binary("key", "y");
    guarded.etag = Some("e".into());
    assert!(is_mismatch(&store.set(guarded).await));
    let mut create = binary("key", "y");
    create.options.concurrency = Concurrency::FirstWrite;
    store.set(create.clone()).await.unwrap();
    assert!(is_mismatch(&store.set(create).await));
    assert_eq!(value(&store, "key").await.unwrap(), "y");
}

/// Unquoted, they would be paths and commands of the server's.
#[tokio::test]
async fn keys_and_values_may_begin_with_a_dollar() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    for text in ["$value", "$$NOW", "$_id", r#"{"$add":[1,2]}"#] {
        store.set(binary(text, text)).await.unwrap();
        assert_eq!(value(&store, text).await.unwrap(), text);
        let within = json!({ "a": text }).to_string();
        store.set(calls::json(text, within.clone())).await.unwrap();
        assert_eq!(value(&store, text).await.unwrap(), within);
    }
}

#[tokio::test]
async fn bytes_that_are_said_to_be_json_are_a_document_in_a_transaction() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    let mut said = binary("key", r#"{"a":1}"#);
    said.metadata
        .insert("contentType".into(), "application/json".into());
    let done = transact(&store, vec![Operation::Upsert(said)]);
    done.await.unwrap();
    assert_eq!(document(&server, "key")["value"], json!({"a": 1}));
}

/// Nothing of one that fails is there, whichever operation it was.
#[tokio::test]
async fn a_refused_transaction_leaves_nothing() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    store.set(binary("b", "1")).await.unwrap();
    for etag in [None, Some("stale".to_owned())] {
        let mut second = binary("b", "2");
        second.options.concurrency = Concurrency::FirstWrite;
        second.etag = etag;
        let operations = vec![
            Operation::Upsert(binary("a", "2")),
            Operation::Upsert(second),
        ];
        let refused = transact(&store, operations).await;
        assert!(is_mismatch(&refused), "{refused:?}");
        assert_eq!(value(&store, "a").await, None);
        assert_eq!(value(&store, "b").await.unwrap(), "1");
    }
}

#[tokio::test]
async fn there_are_no_transactions_without_a_replica_set() {
    let server = MongoDb::start().await;
    let host = server.address().to_string();
    let params = ("params", "directConnection=true");
    let store = create(&[("host", &host), params, GENEROUS]).await.unwrap();
    assert!(store.transactional().is_none());
    assert_eq!(
        store.capabilities(),
        ["ETAG", "TTL", "KEYS_LIKE", "QUERY_API"]
    );
    store.set(binary("key", "x")).await.unwrap();
    assert_eq!(value(&store, "key").await.unwrap(), "x");
}

#[tokio::test]
async fn the_login_is_checked_at_start() {
    let server = MongoDb::with_login("app", "right@:/").await;
    let own = [
        ("username", "app"),
        ("password", "right@:/"),
        ("databaseName", "admin"),
        GENEROUS,
    ];
    let store = at(server.address(), &own).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    let mut wrong = own;
    wrong[1].1 = "secret";
    for extra in [&wrong[..], &[GENEROUS]] {
        let refused = timeout(PATIENCE, at(server.address(), extra)).await;
        let error = refused.expect("it ends").err().expect("it is no login");
        assert!(error.is_transient(), "{error}");
        let address = server.address().to_string();
        assert!(error.to_string().contains(&address), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// A name in BSON ends with a zero, a key is a value of its own.
#[tokio::test]
async fn keys_may_have_every_character_and_transactions_a_thousand_keys() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    conformance::state::limits::keys(&*store, &[]).await;
    conformance::state::limits::transactions(&*store).await;
}

#[tokio::test]
async fn values_may_have_ten_megabytes_and_not_more_than_a_document() {
    let server = MongoDb::start().await;
    let store = open(&server).await;
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|at| (at % 251) as u8).collect();
    let large = Bytes::from(bytes);
    store.set(binary("large", large.clone())).await.unwrap();
    assert!(value(&store, "large").await.unwrap() == large);
    let refused = store.set(binary("larger", vec![b'x'; 17_000_000])).await;
    refused.unwrap_err();
    assert_eq!(value(&store, "larger").await, None);
}

#[tokio::test]
async fn a_server_that_is_away_at_start_is_a_transient_error() {
    let server = MongoDb::stopped();
    let limit = ("operationTimeout", "1s");
    let creation = timeout(PATIENCE, at(server.address(), &[limit])).await;
    let error = creation.expect("it ends").err().expect("there is none");
    assert!(error.is_transient(), "{error}");
    let address = server.address().to_string();
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn it_heals_when_the_server_comes_back() {
    let mut server = MongoDb::start().await;
    let store = at(server.address(), &[("operationTimeout", "5s")]).await;
    let store = store.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    server.stop().await;
    let read = store.get(GetRequest::new("key")).await;
    assert!(is_unavailable(&read), "{read:?}");
    let write = store.set(binary("key", "y")).await;
    assert!(is_unavailable(&write), "{write:?}");
    server.resume().await;
    eventually("it serves again", async || {
        store.get(GetRequest::new("key")).await.map(drop)
    })
    .await;
    assert_eq!(value(&store, "key").await.unwrap(), "x");
    store.set(binary("key", "y")).await.unwrap();
}

#[tokio::test]
async fn a_silent_server_costs_its_limit() {
    let server = MongoDb::start().await;
    let proxy = Proxy::to(server.address()).await;
    let host = proxy.address().to_string();
    // Otherwise the driver goes to where the server says it is.
    let pairs = [
        ("host", host.as_str()),
        ("params", "directConnection=true"),
        ("operationTimeout", "5s"),
    ];
    let store = create(&pairs).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    proxy.hold_up();
    let late = timeout(PATIENCE, store.get(GetRequest::new("key"))).await;
    let late = late.expect("it ends");
    assert!(is_unavailable(&late), "{late:?}");
    let late = timeout(PATIENCE, store.set(binary("key", "y"))).await;
    let late = late.expect("it ends");
    assert!(is_unavailable(&late), "{late:?}");
    proxy.open();
    eventually("it serves again", async || {
        store.get(GetRequest::new("key")).await.map(drop)
    })
    .await;
}
