//! `configuration.postgresql` on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use trilby_components::configuration::{
    Beginning, Change, Changes, ConfigurationError, ConfigurationStore, Items, Selection,
};
use trilby_components::conformance::configuration::{Author, next, run, selection, until};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_testkit::eventually::eventually;
use trilby_testkit::proxy::Proxy;
use trilby_testkit::servers::postgres::{Postgres, USER};

type Store = Arc<dyn ConfigurationStore>;

/// A table, and a trigger as upstream's documentation has it; what is too large for a notification is not notified.
const SCHEMA: &str = r"
    CREATE TABLE config (key varchar NOT NULL, value varchar, version varchar, metadata json);
    CREATE FUNCTION notify() RETURNS trigger AS $$
        DECLARE data json; payload text;
        BEGIN
            IF TG_OP = 'DELETE' THEN data = row_to_json(OLD); ELSE data = row_to_json(NEW); END IF;
            payload = json_build_object('table', TG_TABLE_NAME, 'action', TG_OP, 'data', data)::text;
            IF octet_length(payload) < 7999 THEN PERFORM pg_notify('config', payload); END IF;
            RETURN NULL;
        END;
    $$ LANGUAGE plpgsql;
    CREATE TRIGGER config AFTER INSERT OR UPDATE OR DELETE ON config FOR EACH ROW EXECUTE PROCEDURE notify();";

async fn create(address: SocketAddr, extra: &[(&str, &str)]) -> Result<Store, CreateError> {
    let (host, port) = (address.ip(), address.port());
    let string = format!("host={host} port={port} user={USER} database={USER}");
    let mut pairs = vec![("connectionString", string.as_str())];
    pairs.extend_from_slice(extra);
    let metadata = Metadata::new(pairs).unwrap();
    let registry = Registry::default().with(trilby_components_postgresql::backends());
    let context = ComponentContext::default();
    let created = registry.create("configuration.postgres", "v1", context, metadata);
    match created.await? {
        Instance::Configuration(store) => Ok(store),
        other => panic!("not a configuration store: {other:?}"),
    }
}

async fn server() -> Postgres {
    let postgres = Postgres::start().await;
    postgres.sql(SCHEMA);
    postgres
}

async fn open(postgres: &Postgres, extra: &[(&str, &str)]) -> Store {
    let mut pairs = vec![("table", "config"), ("notifyChannel", "config")];
    pairs.extend_from_slice(extra);
    let created = create(postgres.address(), &pairs).await;
    created.expect("postgres runs")
}

async fn follow(store: &Store, keys: &[&str]) -> Changes {
    let changes = store.subscribe(&selection(keys), Beginning::New).await;
    changes.unwrap()
}

async fn get(store: &Store, keys: &[&str]) -> Items {
    store.get(&selection(keys)).await.unwrap()
}

fn put(postgres: &Postgres, key: &str, value: &str) {
    postgres.sql(&format!(
        "INSERT INTO config (key, value, version) VALUES ('{key}', '{value}', 1)"
    ));
}

async fn missed(changes: &mut Changes) {
    while next(changes).await != Change::Missed {}
}

struct Psql<'a>(&'a Postgres);

#[async_trait]
impl Author for Psql<'_> {
    async fn put(&self, key: &str, value: &str) {
        let value = value.replace('\'', "''");
        self.0.sql(&format!(
            "WITH new(value) AS (VALUES ('{value}')), changed AS (
                 UPDATE config SET value = new.value, version = version::int + 1 FROM new WHERE key = '{key}' RETURNING 1)
             INSERT INTO config SELECT '{key}', new.value, '1', NULL FROM new WHERE NOT EXISTS (SELECT FROM changed)"
        ));
    }

    async fn remove(&self, key: &str) {
        self.0
            .sql(&format!("DELETE FROM config WHERE key = '{key}'"));
    }
}

#[tokio::test]
async fn it_is_a_configuration_store() {
    let postgres = server().await;
    let store = open(&postgres, &[]).await;
    run(&*store, &Psql(&postgres)).await;
}

#[tokio::test]
async fn it_is_one_behind_a_pooler_as_well() {
    let postgres = server().await;
    let store = open(&postgres, &[("queryExecMode", "exec")]).await;
    run(&*store, &Psql(&postgres)).await;
}

#[tokio::test]
async fn rows_are_read_by_column_and_the_highest_version_counts() {
    let postgres = Postgres::start().await;
    postgres.sql(
        r#"CREATE SCHEMA app;
        CREATE TABLE app.config (key text, val jsonb, ver int, meta jsonb, more text);
        INSERT INTO app.config VALUES ('a', '"x"', 9, '{"env":"test","n":1}'), ('a', '2', 10, NULL), ('b', NULL, NULL, NULL)"#,
    );
    let store = create(postgres.address(), &[("table", "app.config")])
        .await
        .unwrap();
    let items = get(&store, &[]).await;
    assert_eq!(
        (items["a"].value.as_str(), items["a"].version.as_str()),
        ("2", "10")
    );
    assert_eq!(
        (items["b"].value.as_str(), items["b"].version.as_str()),
        ("", "")
    );
    let filtered = Selection {
        metadata: [("env".to_owned(), "test".to_owned())].into(),
        ..selection(&["a", "b"])
    };
    let items = store.get(&filtered).await.unwrap();
    assert_eq!(items.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        (items["a"].value.as_str(), items["a"].metadata["n"].as_str()),
        ("\"x\"", "1")
    );
}

/// Upstream panics on a payload of other types.
#[tokio::test]
async fn odd_notifications_are_left_out_and_nothing_else() {
    let postgres = server().await;
    let store = open(&postgres, &[]).await;
    let mut changes = follow(&store, &["a"]).await;
    for payload in [
        "",
        "nonsense",
        "{}",
        r#"{"data":7}"#,
        r#"{"data":{"key":{},"value":[]}}"#,
    ] {
        postgres.sql(&format!("SELECT pg_notify('config', '{payload}')"));
    }
    put(&postgres, "a", "x");
    let Change::Items(items) = next(&mut changes).await else {
        panic!("nothing was missed");
    };
    assert_eq!(items["a"].value, "x");
}

#[tokio::test]
async fn a_request_may_name_the_channel() {
    let postgres = server().await;
    let store = create(postgres.address(), &[("table", "config")])
        .await
        .unwrap();
    let without = store.subscribe(&selection(&["a"]), Beginning::New).await;
    let error = without.err().unwrap();
    let text = "unable to subscribe to \"config\". notifyChannel must be set in component metadata or request metadata";
    assert_eq!(error, ConfigurationError::InvalidRequest(text.to_owned()));
    let named = |name: &str| Selection {
        metadata: [("PGNotifyChannel".to_owned(), name.to_owned())].into(),
        ..selection(&["a"])
    };
    let wrong = store.subscribe(&named("a\"; DROP"), Beginning::New).await;
    assert!(matches!(
        wrong.err(),
        Some(ConfigurationError::InvalidRequest(_))
    ));
    let mut changes = store
        .subscribe(&named("config"), Beginning::New)
        .await
        .unwrap();
    put(&postgres, "a", "x");
    until(&mut changes, "a", "x").await;
    let read = store.get(&named("config")).await.unwrap();
    assert_eq!(read["a"].value, "x", "the channel selects no rows");
}

#[tokio::test]
async fn a_subscription_goes_on_when_the_server_was_away() {
    let mut postgres = server().await;
    let store = open(&postgres, &[]).await;
    let (mut some, mut all) = (follow(&store, &["a"]).await, follow(&store, &[]).await);
    for round in ["stopped", "crashed"] {
        match round {
            "stopped" => postgres.stop().await,
            _ => postgres.crash().await,
        }
        postgres.resume().await;
        missed(&mut some).await;
        missed(&mut all).await;
        Psql(&postgres).put("a", round).await;
        until(&mut some, "a", round).await;
        until(&mut all, "a", round).await;
        assert_eq!(get(&store, &["a"]).await["a"].value, round);
    }
}

/// The server ends the connection that listens; the store's others stay.
#[tokio::test]
async fn a_listening_connection_that_is_ended_is_made_again() {
    let postgres = server().await;
    let store = open(&postgres, &[]).await;
    let mut changes = follow(&store, &["a"]).await;
    let listening = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    postgres.sql(&format!("SELECT pg_terminate_backend(pid) {listening}"));
    missed(&mut changes).await;
    put(&postgres, "a", "x");
    until(&mut changes, "a", "x").await;
    drop(changes);
    eventually("who is gone holds no connection", async || {
        match postgres
            .sql(&format!("SELECT count(*) {listening}"))
            .as_str()
        {
            "0" => Ok(()),
            count => Err(count.to_owned()),
        }
    })
    .await;
}

/// Nothing comes over the connection any more, not even its end.
#[tokio::test]
async fn a_listening_connection_that_is_silent_is_made_again() {
    let postgres = server().await;
    let proxy = Proxy::to(postgres.address()).await;
    let pairs = [
        ("table", "config"),
        ("notifyChannel", "config"),
        ("timeout", "1s"),
    ];
    let store = create(proxy.address(), &pairs).await.unwrap();
    let mut changes = follow(&store, &["a"]).await;
    proxy.hold_up();
    put(&postgres, "a", "unheard");
    let read = store.get(&selection(&["a"])).await;
    assert!(
        matches!(read, Err(ConfigurationError::Unavailable(_))),
        "{read:?}"
    );
    let opening = async {
        // Longer than what is silent counts as there.
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        proxy.open();
    };
    tokio::join!(missed(&mut changes), opening);
    assert_eq!(get(&store, &["a"]).await["a"].value, "unheard");
}

#[tokio::test]
async fn what_cannot_be_is_named() {
    let postgres = server().await;
    let address = postgres.address();
    for (pairs, text) in [
        (&[][..], "table is missing"),
        (
            &[("table", "Config")],
            "upper cased names are not supported",
        ),
        (
            &[("table", "config"), ("notifyChannel", "a b")],
            "notifyChannel",
        ),
        (
            &[("table", "absent")],
            "postgreSQL configuration table 'absent' does not exist",
        ),
        (
            &[("table", "config"), ("password", "x"), ("user", "nobody")],
            "nobody",
        ),
    ] {
        let refused = create(address, pairs).await.err().unwrap().to_string();
        assert!(refused.contains(text), "{refused}");
    }
    let away = create(Postgres::stopped().address(), &[("table", "config")]).await;
    assert!(away.err().unwrap().is_transient());
    let store = open(&postgres, &[]).await;
    let wrong = store.get(&selection(&["a b"])).await.unwrap_err();
    assert_eq!(
        wrong,
        ConfigurationError::InvalidRequest("invalid key : 'a b'".to_owned())
    );
    postgres.sql("INSERT INTO config VALUES ('a', 'x', '1', '[]')");
    let wrong = store.get(&selection(&["a"])).await.unwrap_err().to_string();
    assert!(
        wrong.contains("the metadata of key \"a\" in table config is no JSON object"),
        "{wrong}"
    );
}

#[tokio::test]
async fn a_closed_store_ends_its_subscriptions_at_the_latest_when_they_are_lost() {
    let mut postgres = server().await;
    let store = open(&postgres, &[]).await;
    let mut changes = follow(&store, &["a"]).await;
    store.close().await;
    postgres.stop().await;
    assert_eq!(changes.next().await, None);
}
