//! `state.cockroachdb` v1. CockroachDB itself could not be had: this is PostgreSQL, with the one function that only
//! CockroachDB has.

use trilby_components::conformance::state::{self, calls, limits};
use trilby_components::state::DeleteRequest;
use trilby_testkit::servers::postgres::Postgres;

use crate::layout::shape;
use crate::support::{Store, binary, etag, json, string, value};

/// Gives the server what stands in for CockroachDB's numbers of rows.
pub(crate) fn stands_in(postgres: &Postgres) {
    postgres.sql(
        "CREATE SEQUENCE rowids;
         CREATE FUNCTION unique_rowid() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('rowids') $$;
         GRANT ALL ON SEQUENCE rowids TO PUBLIC",
    );
}

async fn start() -> Postgres {
    let postgres = Postgres::start().await;
    stands_in(&postgres);
    postgres
}

async fn open(postgres: &Postgres, extra: &[(&str, &str)]) -> Store {
    let string = string(postgres.address());
    let pairs = [&[("connectionString", string.as_str())], extra].concat();
    let backends = trilby_components_postgresql::backends();
    let created = calls::create(backends, ("state.cockroachdb", "v1"), &pairs).await;
    created.expect("postgres runs")
}

#[tokio::test]
async fn it_is_a_state_store() {
    let postgres = start().await;
    let (store, other) = (open(&postgres, &[]).await, open(&postgres, &[]).await);
    state::run_on_documents(&*store, "app").await;
    state::run_two([&*store, &*other], "meeting").await;
    limits::keys(&*store, &['\0']).await;
    limits::values(&*store).await;
    limits::transactions(&*store).await;
    let definitions = trilby_components_postgresql::definitions();
    let definition = definitions.iter().find(|one| one.name == "cockroachdb");
    assert_eq!(store.capabilities(), definition.unwrap().capabilities);
}

#[tokio::test]
async fn the_table_is_upstreams() {
    let postgres = start().await;
    let store = open(&postgres, &[]).await;
    assert_eq!(
        shape(&postgres, "state"),
        "key text NO\n\
         value jsonb NO\n\
         isbinary boolean NO\n\
         etag integer YES\n\
         insertdate timestamp with time zone NO now()\n\
         updatedate timestamp with time zone YES\n\
         expiredate timestamp with time zone YES\n\
         row_id bigint NO unique_rowid()\n\
         CREATE INDEX state_expiredate_idx ON public.state USING btree (expiredate)\n\
         CREATE UNIQUE INDEX state_pkey ON public.state USING btree (key)\n\
         CREATE UNIQUE INDEX state_row_id_key ON public.state USING btree (row_id)"
    );
    store.set(json("doc", r#"{"a":1.10}"#)).await.unwrap();
    store.set(binary("bytes", &b"\x00\xff"[..])).await.unwrap();
    let rows = "SELECT key, value, isbinary FROM state ORDER BY row_id";
    assert_eq!(postgres.sql(rows), "doc|{\"a\": 1.10}|f\nbytes|\"AP8=\"|t");
    let kept = postgres.sql("SELECT etag FROM state WHERE key = 'doc'");
    assert_eq!(etag(&store, "doc").await, kept);
}

/// Also writes without an etag, after which upstream's sidecar leaves the same etag each time.
#[tokio::test]
async fn every_write_raises_the_number() {
    let postgres = start().await;
    let store = open(&postgres, &[]).await;
    postgres
        .sql("INSERT INTO state (key, value, isbinary, etag) VALUES ('key', '\"x\"', false, 1)");
    assert_eq!(etag(&store, "key").await, "1");
    for expected in ["2", "3"] {
        store.set(binary("key", "y")).await.unwrap();
        assert_eq!(etag(&store, "key").await, expected);
    }
    let mut guarded = binary("key", "z");
    guarded.etag = Some("3".to_owned());
    store.set(guarded.clone()).await.unwrap();
    assert_eq!(etag(&store, "key").await, "4");
    store.set(guarded).await.unwrap_err();
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"z"[..]));
}

/// Upstream's begins with 1 again.
#[tokio::test]
async fn a_key_that_comes_again_is_another_one() {
    let postgres = start().await;
    let store = open(&postgres, &[]).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        store.set(binary("key", "x")).await.unwrap();
        seen.push(etag(&store, "key").await);
        store.delete(DeleteRequest::new("key")).await.unwrap();
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[tokio::test]
async fn a_table_of_an_older_sidecar_is_completed() {
    let postgres = start().await;
    postgres.sql(
        "CREATE SCHEMA app;
         CREATE TABLE app.state (key text NOT NULL PRIMARY KEY, value jsonb NOT NULL, isbinary boolean NOT NULL,
             etag int, insertdate timestamptz NOT NULL DEFAULT now(), updatedate timestamptz);
         INSERT INTO app.state (key, value, isbinary, etag) VALUES ('old', '1', false, 7)",
    );
    for _ in 0..2 {
        let store = open(&postgres, &[("tableName", "app.state")]).await;
        assert_eq!(value(&store, "old").await.as_deref(), Some(&b"1"[..]));
        assert_eq!(etag(&store, "old").await, "7");
        store.set(binary("new", "x")).await.unwrap();
        assert_eq!(value(&store, "new").await.as_deref(), Some(&b"x"[..]));
    }
    let indexes = "SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'app'";
    assert_eq!(
        postgres.sql(indexes),
        "state_expiredate_idx state_pkey state_row_id_uidx"
    );
}

#[tokio::test]
async fn rights_on_the_tables_are_enough() {
    let postgres = start().await;
    open(&postgres, &[]).await;
    postgres.sql(
        "CREATE ROLE app LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO app;
         GRANT SELECT, INSERT, UPDATE, DELETE ON state, dapr_metadata TO app",
    );
    let store = open(&postgres, &[("user", "app")]).await;
    store.set(binary("key", "x")).await.unwrap();
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"x"[..]));
}
