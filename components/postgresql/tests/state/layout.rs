//! The tables, which are upstream's.

use std::time::Duration;

use trilby_components::state::{Concurrency, GetRequest, StateError, Ttl};
use trilby_testkit::servers::postgres::Postgres;

use crate::support::{binary, create, etag, json, open, string, value};

/// Columns with type, whether they may be empty, default and identity; and the indexes.
pub(crate) fn shape(postgres: &Postgres, table: &str) -> String {
    postgres.sql(&format!(
        "SELECT string_agg(concat_ws(' ', column_name, data_type, is_nullable, column_default, identity_generation), E'\\n'
                           ORDER BY ordinal_position)
         FROM information_schema.columns WHERE table_name = '{table}';
         SELECT string_agg(indexdef, E'\\n' ORDER BY indexname) FROM pg_indexes WHERE tablename = '{table}'"
    ))
}

#[tokio::test]
async fn the_table_of_v1_is_upstreams() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v1", &[]).await;
    assert_eq!(
        shape(&postgres, "state"),
        "key text NO\n\
         value jsonb NO\n\
         isbinary boolean NO\n\
         insertdate timestamp with time zone NO now()\n\
         updatedate timestamp with time zone YES\n\
         expiredate timestamp with time zone YES\n\
         row_id bigint NO BY DEFAULT\n\
         CREATE UNIQUE INDEX state_pkey ON public.state USING btree (key)\n\
         CREATE UNIQUE INDEX state_row_id_uidx ON public.state USING btree (row_id)"
    );
    assert_eq!(
        postgres.sql("SELECT key, value FROM dapr_metadata ORDER BY key"),
        "lock|lock\nmigrations|3"
    );
    store
        .set(json("doc", r#"{"b":9007199254740993,"a":1.10}"#))
        .await
        .unwrap();
    store.set(binary("bytes", &b"\x00\xff"[..])).await.unwrap();
    let rows = "SELECT key, value, isbinary, updatedate IS NULL, expiredate IS NULL, row_id FROM state ORDER BY row_id";
    assert_eq!(
        postgres.sql(rows),
        "doc|{\"a\": 1.10, \"b\": 9007199254740993}|f|t|t|1\nbytes|\"AP8=\"|t|t|t|2"
    );
    let mut again = binary("doc", "x");
    again.ttl = Some(Ttl::After(Duration::from_secs(100)));
    store.set(again).await.unwrap();
    let row = "SELECT value, isbinary, updatedate IS NULL,
                      expiredate BETWEEN now() + interval '90 s' AND now() + interval '100 s'
               FROM state WHERE key = 'doc'";
    assert_eq!(postgres.sql(row), "\"eA==\"|t|f|t");
    let version = postgres.sql("SELECT xmin FROM state WHERE key = 'doc'");
    assert_eq!(etag(&store, "doc").await, version);
}

#[tokio::test]
async fn the_table_of_v2_is_upstreams() {
    let postgres = Postgres::start().await;
    let extra = [("tablePrefix", "my_"), ("metadataTableName", "notes")];
    let store = open(&postgres, "v2", &extra).await;
    assert_eq!(
        shape(&postgres, "my_state"),
        "key text NO\n\
         value bytea NO\n\
         etag uuid NO gen_random_uuid()\n\
         created_at timestamp with time zone NO now()\n\
         updated_at timestamp with time zone YES\n\
         expires_at timestamp with time zone YES\n\
         row_id bigint NO BY DEFAULT\n\
         CREATE INDEX my_state_expires_at_idx ON public.my_state USING btree (expires_at)\n\
         CREATE UNIQUE INDEX my_state_pkey ON public.my_state USING btree (key)\n\
         CREATE UNIQUE INDEX my_state_row_id_uidx ON public.my_state USING btree (row_id)"
    );
    assert_eq!(
        postgres.sql("SELECT key, value FROM notes ORDER BY key"),
        "lock|lock\nmigrations-state-v2-my_|2"
    );
    store.set(json("doc", r#"{"b":1}"#)).await.unwrap();
    store.set(binary("doc", r#"{"b":2}"#)).await.unwrap();
    let row = "SELECT convert_from(value, 'UTF8'), updated_at IS NULL, expires_at IS NULL, row_id FROM my_state";
    assert_eq!(postgres.sql(row), "{\"b\":2}|f|t|1");
    let version = postgres.sql("SELECT etag FROM my_state");
    assert_eq!(etag(&store, "doc").await, version);
}

#[tokio::test]
async fn rows_of_upstreams_sidecar_are_read_and_guarded() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v1", &[]).await;
    postgres.sql(
        "INSERT INTO state (key, value, isbinary, expiredate) VALUES
         ('json', '\"text\"', false, NULL), ('bytes', '\"aGk=\"', true, now() + interval '60 s'),
         ('old', '1', false, now() - interval '1 s'), ('broken', '\"***\"', true, NULL)",
    );
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
    guarded.etag = Some(postgres.sql("SELECT xmin FROM state WHERE key = 'json'"));
    store.set(guarded.clone()).await.unwrap();
    let late = store.set(guarded.clone()).await.unwrap_err();
    assert!(matches!(late, StateError::EtagMismatch(_)), "{late}");
    guarded.etag = Some("one".to_owned());
    let invalid = store.set(guarded).await.unwrap_err();
    assert!(matches!(invalid, StateError::EtagInvalid(_)), "{invalid}");
}

/// As sidecars of Dapr 1.0 left it, with rows.
#[tokio::test]
async fn an_old_table_is_brought_up_to_date() {
    let postgres = Postgres::start().await;
    postgres.sql(
        "CREATE TABLE state (key text NOT NULL PRIMARY KEY, value jsonb NOT NULL, isbinary boolean NOT NULL,
            insertdate timestamptz NOT NULL DEFAULT now(), updatedate timestamptz NULL);
         INSERT INTO state (key, value, isbinary, insertdate) VALUES
            ('second', '2', false, '2020-02-02'), ('first', '1', false, '2020-01-01');
         CREATE TABLE dapr_metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL);
         INSERT INTO dapr_metadata VALUES ('migrations', '1')",
    );
    let store = open(&postgres, "v1", &[]).await;
    store.set(json("third", "3")).await.unwrap();
    assert_eq!(
        postgres.sql("SELECT row_id, key FROM state ORDER BY row_id"),
        "1|first\n2|second\n3|third"
    );
    let level = "SELECT value FROM dapr_metadata WHERE key = 'migrations'";
    assert_eq!(postgres.sql(level), "3");
}

/// Upstream goes by the note alone.
#[tokio::test]
async fn a_second_table_is_made_although_the_note_says_done() {
    let postgres = Postgres::start().await;
    let first = open(&postgres, "v1", &[]).await;
    postgres.sql("CREATE SCHEMA \"My App\"");
    let second = open(&postgres, "v1", &[("tableName", "\"My App\".\"State\"")]).await;
    first.set(json("key", "1")).await.unwrap();
    assert_eq!(value(&second, "key").await, None);
}

/// Many sidecars of an application start at once.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_once_by_many_at_once() {
    let postgres = Postgres::start().await;
    let string = string(postgres.address());
    for version in ["v1", "v2"] {
        let names = [("tableName", "made"), ("tablePrefix", "made_")];
        let opening = (0..8).map(|_| {
            let string = string.clone();
            tokio::spawn(async move {
                let pairs = [&[("url", string.as_str())], &names[..]].concat();
                create(version, &pairs).await.map(drop)
            })
        });
        for opened in opening.collect::<Vec<_>>() {
            opened.await.unwrap().unwrap();
        }
    }
    let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename IN ('made', 'made_state')";
    assert_eq!(postgres.sql(indexes), "5");
}

/// Upstream's layout has JSONB, which normalises documents; what it would refuse is not lost.
#[tokio::test]
async fn json_that_jsonb_cannot_hold_is_kept_as_bytes() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v1", &[]).await;
    let text = r#"{"a":"\u0000"}"#;
    store.set(json("nul", text)).await.unwrap();
    assert_eq!(value(&store, "nul").await.as_deref(), Some(text.as_bytes()));
    let refused = store.set(json("none", "{")).await.unwrap_err();
    assert!(
        matches!(refused, StateError::InvalidRequest(_)),
        "{refused}"
    );
    // What is wrong with it is told, but not what it says.
    assert!(!refused.to_string().contains('{'), "{refused}");
}
