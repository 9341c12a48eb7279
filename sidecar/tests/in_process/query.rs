//! Queries over both protocols, on documents in PostgreSQL.

use http::StatusCode;
use serde_json::json;
use tonic::Code;
use trilby_components::registry::Registry;
use trilby_grpc::{ChannelConfig, Target};
use trilby_proto::runtime::v1::QueryStateRequest;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_testkit::servers::postgres::{Postgres, USER};
use trilby_testkit::servers::redis::Redis;

use crate::sidecar::{Directory, Settings, Sidecar};

const QUERY: &str = "/v1.0-alpha1/state/documents/query";

async fn sidecar() -> (Sidecar, Postgres) {
    let (postgres, folder) = (Postgres::start().await, tempfile::tempdir().unwrap());
    let (host, port) = (postgres.address().ip(), postgres.address().port());
    let secret = "  - name: primaryEncryptionKey\n    secretKeyRef:\n      name: one\n";
    for (name, version, more) in [
        ("documents", "v1", ""),
        ("bytes", "v2", ""),
        ("sealed", "v1", secret),
    ] {
        let text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nauth:\n  secretStore: secrets\n\
             spec:\n  type: state.postgresql\n  version: {version}\n  metadata:\n  - name: connectionString\n    \
             value: host={host} port={port} user={USER} database={USER}\n  - name: tableName\n    value: {name}\n{more}"
        );
        std::fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
    }
    let file = folder.path().join("secrets.json");
    std::fs::write(&file, r#"{"one":"00112233445566778899aabbccddeeff"}"#).unwrap();
    let secrets = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: secrets\nspec:\n  \
         type: secretstores.local.file\n  version: v1\n  metadata:\n  - name: secretsFile\n    value: {}\n",
        file.display()
    );
    std::fs::write(folder.path().join("secrets.yaml"), secrets).unwrap();
    let registry = Registry::in_memory()
        .with(trilby_components_postgresql::backends())
        .with(trilby_components_local::backends());
    let settings = Settings::new("a")
        .resources(folder.path())
        .registry(registry);
    (
        Sidecar::start(settings, &Directory::default()).await,
        postgres,
    )
}

#[tokio::test]
async fn documents_are_found_over_both_protocols() {
    let (a, _postgres) = sidecar().await;
    let saved = a
        .post(
            "/v1.0/state/documents",
            r#"[{"key":"1","value":{"state":"WA","n":1}},{"key":"2","value":{"state":"WA","n":9007199254740993}},
                {"key":"3","value":{"state":"CA","n":3}}]"#,
        )
        .await;
    assert_eq!(saved.status, StatusCode::NO_CONTENT, "{}", saved.text());
    let query = r#"{"filter":{"EQ":{"state":"WA"}},"sort":[{"key":"n","order":"DESC"}],"page":{"limit":1}}"#;
    let answer = a.post(QUERY, query).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let found = answer.json();
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    assert_eq!(found["results"][0]["key"], "2");
    assert_eq!(
        found["results"][0]["data"],
        json!({"state":"WA","n":9_007_199_254_740_993_u64})
    );
    assert!(found["results"][0]["etag"].is_string());
    assert_eq!(found["token"], "1");
    let nothing = a.post(QUERY, r#"{"filter":{"EQ":{"state":"TX"}}}"#).await;
    assert_eq!(
        (nothing.status, nothing.text().as_str()),
        (StatusCode::NO_CONTENT, "")
    );

    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: a.grpc.port(),
    };
    let channel = trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap();
    let mut dapr = DaprClient::new(channel);
    let ask = |query: &str| QueryStateRequest {
        store_name: "documents".into(),
        query: query.to_owned(),
        ..Default::default()
    };
    let next = query.replace(r#""limit":1"#, r#""limit":1,"token":"1""#);
    let found = dapr
        .query_state_alpha1(ask(&next))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (found.results[0].key.as_str(), found.token.as_str()),
        ("1", "2")
    );
    let refused = dapr.query_state_alpha1(ask("{")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    let expected = "state store documents query failed: failed to parse JSON query body: ";
    assert!(refused.message().starts_with(expected), "{refused:?}");
}

#[tokio::test]
async fn queries_that_cannot_be_answered_say_why() {
    let (a, _postgres) = sidecar().await;
    for (store, query, code, why) in [
        (
            "bytes",
            "{}",
            "ERR_STATE_STORE_NOT_SUPPORTED",
            "state store does not support querying",
        ),
        (
            "sealed",
            "{}",
            "ERR_STATE_QUERY",
            "cannot query encrypted store",
        ),
        (
            "documents",
            r#"{"filter":{"AND":[{"EQ":{"a":1}},{"EQ":[]}]}}"#,
            "ERR_STATE_QUERY",
            "failed to parse JSON query body: filter.AND[1].EQ: EQ filter must be a map",
        ),
        (
            "documents",
            r#"{"filter":{"GT":{"a":"x"}}}"#,
            "ERR_STATE_QUERY",
            "unsupported type of value x; string type not permitted",
        ),
    ] {
        let answer = a.post(&QUERY.replace("documents", store), query).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{query}");
        let body = answer.json();
        assert_eq!(body["errorCode"], code);
        assert!(body["message"].as_str().unwrap().contains(why), "{body}");
    }
}

/// The metadata that says so reaches the store with each of these requests.
#[tokio::test]
async fn documents_of_redis_are_kept_and_found_by_their_metadata() {
    let (redis, folder) = (Redis::with_modules().await, tempfile::tempdir().unwrap());
    let component = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: documents\nspec:\n  type: state.redis\n  \
         version: v1\n  metadata:\n  - name: redisHost\n    value: {}\n  - name: readTimeout\n    value: 60s\n  \
         - name: queryIndexes\n    value: '[{{\"name\":\"i\",\"indexes\":[{{\"key\":\"n\",\"type\":\"NUMERIC\"}}]}}]'\n",
        redis.address()
    );
    std::fs::write(folder.path().join("documents.yaml"), component).unwrap();
    let registry = Registry::in_memory().with(trilby_components_redis::backends());
    let settings = Settings::new("a")
        .resources(folder.path())
        .registry(registry);
    let a = Sidecar::start(settings, &Directory::default()).await;
    let path = "/v1.0/state/documents?metadata.contentType=application/json";
    let body = r#"[{"key":"1","value":{"n":9007199254740993}},{"key":"2","value":{"n":2}}]"#;
    let saved = a.post(path, body).await;
    assert_eq!(saved.status, StatusCode::NO_CONTENT, "{}", saved.text());
    assert_eq!(
        redis.command(&["JSON.GET", "a||2"]),
        r#"{"data":{"n":2},"version":1}"#
    );
    let query = r#"{"filter":{"GT":{"n":9007199254740992}}}"#;
    let unnamed = a.post(QUERY, query).await;
    assert_eq!(unnamed.json()["errorCode"], "ERR_STATE_QUERY");
    let named = format!("{QUERY}?metadata.queryIndexName=i");
    let found = a.post(&named, query).await.json();
    assert_eq!(
        found["results"],
        json!([{"key": "1", "data": {"n": 9_007_199_254_740_993_u64}, "etag": "1"}])
    );
}
