//! What every state store owes its callers.

use trilby_components::conformance;
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_components::state::{GetRequest, KeysLike, LikePattern};
use trilby_testkit::servers::postgres::Postgres;

use crate::cockroach;
use crate::support::{VERSIONS, binary, open, string, value};

#[tokio::test]
async fn v1_is_a_state_store() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v1", &[]).await;
    conformance::state::run_on_documents(&*store, "app").await;
    let definitions = trilby_components_postgresql::definitions();
    assert_eq!(store.capabilities(), definitions[0].capabilities);
}

#[tokio::test]
async fn v2_is_a_state_store() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    conformance::state::run(&*store, "app").await;
    let definitions = trilby_components_postgresql::definitions();
    assert_eq!(store.capabilities(), definitions[1].capabilities);
}

/// As it is used behind a pooler.
#[tokio::test]
async fn both_are_without_prepared_statements() {
    let postgres = Postgres::start().await;
    for mode in ["exec", "simple_protocol"] {
        let (table, prefix) = (format!("{mode}_v1"), format!("{mode}_v2_"));
        let extra = [("queryExecMode", mode), ("tableName", table.as_str())];
        let store = open(&postgres, "v1", &extra).await;
        conformance::state::run_on_documents(&*store, "app").await;
        let extra = [("queryExecMode", mode), ("tablePrefix", prefix.as_str())];
        let store = open(&postgres, "v2", &extra).await;
        conformance::state::run(&*store, "app").await;
    }
}

#[tokio::test]
async fn types_and_versions_are_upstreams() {
    let postgres = Postgres::start().await;
    let string = string(postgres.address());
    let registry = Registry::default().with(trilby_components_postgresql::backends());
    cockroach::stands_in(&postgres);
    let create = async |type_: &str, version: &str| {
        let prefix = format!("{}_", type_.replace('.', "_"));
        let pairs = [
            ("url", string.as_str()),
            ("tablePrefix", &prefix),
            ("tableName", &prefix),
        ];
        let metadata = Metadata::new(pairs).unwrap();
        let context = ComponentContext::default();
        registry.create(type_, version, context, metadata).await
    };
    for (type_, version, relation) in [
        ("state.postgresql", "", "state_postgresql_"),
        ("state.postgresql", "v2", "state_postgresql_state"),
        ("state.Postgres", "V1", "state_postgres_"),
        ("state.postgres", "v2", "state_postgres_state"),
        ("state.cockroachdb", "", "state_cockroachdb_"),
        ("state.cockroachdb", "v2", "state_cockroachdb_state"),
        ("state.yugabyte", "", "state_yugabyte_state"),
        ("state.yugabytedb", "v2", "state_yugabytedb_state"),
    ] {
        let created = create(type_, version).await.unwrap();
        assert!(matches!(created, Instance::State(_)));
        let there = format!("SELECT to_regclass('{relation}') IS NOT NULL");
        assert_eq!(postgres.sql(&there), "t", "{type_}/{version}");
    }
    for (type_, version, has) in [
        ("state.postgresql", "v0", "it has v1, v2"),
        ("state.yugabyte", "v1", "it has v2"),
    ] {
        let refused = create(type_, version).await.unwrap_err();
        assert!(matches!(refused, CreateError::UnknownVersion { .. }));
        assert!(refused.to_string().ends_with(has), "{refused}");
    }
}

#[tokio::test]
async fn bulk_reads_answer_every_request() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let store = open(
            &postgres,
            version,
            &[("tablePrefix", "b_"), ("tableName", "b")],
        )
        .await;
        for key in ["a", "b"] {
            store.set(binary(key, key.to_owned())).await.unwrap();
        }
        let keys = ["b", "none", "a", "b", "n\0l"];
        let requests = keys.map(GetRequest::new).into();
        let answers = store.bulk_get(requests, 1).await;
        let told: Vec<String> = answers
            .into_iter()
            .map(|answer| match answer.result {
                Ok(item) => item.map_or("-".to_owned(), |item| {
                    String::from_utf8_lossy(&item.value).into_owned()
                }),
                Err(error) => format!("{}: {}", answer.key, error.is_final()),
            })
            .collect();
        assert_eq!(told, ["b", "-", "a", "b", "n\0l: true"]);
        assert!(store.bulk_get(Vec::new(), 1).await.is_empty());
    }
}

#[tokio::test]
async fn keys_are_listed_in_the_order_they_came() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    for key in ["c", "a", "B", "b", "d"] {
        store.set(binary(key, "1")).await.unwrap();
    }
    // Written again, it stays where it is.
    store.set(binary("c", "2")).await.unwrap();
    let listing = store.key_listing().unwrap();
    let mut request = KeysLike::new(LikePattern::parse("_").unwrap());
    request.page_size = Some(2);
    let first = listing.keys_like(request.clone()).await.unwrap();
    assert_eq!(first.keys, ["c", "a"]);
    request.token = first.next;
    store
        .delete(trilby_components::state::DeleteRequest::new("a"))
        .await
        .unwrap();
    let second = listing.keys_like(request.clone()).await.unwrap();
    assert_eq!(second.keys, ["B", "b"]);
    request.token = second.next;
    let third = listing.keys_like(request.clone()).await.unwrap();
    assert_eq!((third.keys, third.next), (vec!["d".to_owned()], None));
    request.token = Some("second".to_owned());
    let refused = listing.keys_like(request).await.unwrap_err();
    assert!(refused.is_final(), "{refused}");
}

#[tokio::test]
async fn values_stay_when_the_store_is_closed_and_opened_again() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    store.set(binary("key", "1")).await.unwrap();
    store.close().await;
    let closed = store.get(GetRequest::new("key")).await.unwrap_err();
    assert!(
        closed.to_string().contains("the component was closed"),
        "{closed}"
    );
    let again = open(&postgres, "v2", &[]).await;
    assert_eq!(value(&again, "key").await.as_deref(), Some(&b"1"[..]));
}
