//! The state API over both protocols, on a store in memory.

use http::{Request, StatusCode};
use serde_json::json;
use tonic::Code;
use trilby_grpc::{Channel, ChannelConfig, Target};
use trilby_proto::common::v1::{Etag, StateItem};
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{
    DeleteStateRequest, GetBulkStateRequest, GetStateRequest, SaveStateRequest,
};

use crate::sidecar::{Directory, Settings, Sidecar};

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  \
                     type: state.in-memory\n  version: v1\n";

async fn sidecar() -> (Sidecar, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.yaml"), STORE).unwrap();
    let sidecar = Sidecar::start(
        Settings::new("a").resources(folder.path()),
        &Directory::default(),
    )
    .await;
    (sidecar, folder)
}

fn client(sidecar: &Sidecar) -> DaprClient<Channel> {
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: sidecar.grpc.port(),
    };
    DaprClient::new(trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap())
}

#[tokio::test]
async fn saved_value_is_read_back_as_its_json() {
    let (a, _folder) = sidecar().await;
    let saved = a
        .post(
            "/v1.0/state/store",
            r#"[{"key":"k","value":{ "x": [1, "two"] }},{"key":"s","value":"text"}]"#,
        )
        .await;
    assert_eq!(saved.status, StatusCode::NO_CONTENT, "{}", saved.text());
    let read = a.get("/v1.0/state/store/k").await;
    assert_eq!(
        (read.status, read.text().as_str()),
        (StatusCode::OK, r#"{"x":[1,"two"]}"#)
    );
    assert_eq!(read.headers["content-type"], "application/json");
    assert!(read.headers.contains_key("etag"));
    assert_eq!(a.get("/v1.0/state/store/s").await.text(), "\"text\"");
    assert_eq!(
        a.get("/v1.0/state/store/absent").await.status,
        StatusCode::NO_CONTENT
    );
}

/// Upstream reads numbers as floats: integers above 2^53 become others, in every store.
#[tokio::test]
async fn documents_are_kept_as_they_are_written() {
    let (a, _folder) = sidecar().await;
    let body = r#"[{"Key":"k","Value":{ "z": 9007199254740993, "a": [1.50, 123456789012345678901234567890] }}]"#;
    let saved = a.post("/v1.0/state/store", body).await;
    assert_eq!(saved.status, StatusCode::NO_CONTENT, "{}", saved.text());
    let stored = r#"{"z":9007199254740993,"a":[1.50,123456789012345678901234567890]}"#;
    assert_eq!(a.get("/v1.0/state/store/k").await.text(), stored);
    let nothing = a.post("/v1.0/state/store", "null").await;
    assert_eq!(nothing.status, StatusCode::NO_CONTENT);
    let none = a.post("/v1.0/state/store/bulk", r#"{"keys":[]}"#).await;
    assert_eq!((none.status, none.text().as_str()), (StatusCode::OK, "[]"));
}

#[tokio::test]
async fn old_etag_is_a_conflict() {
    let (a, _folder) = sidecar().await;
    a.post("/v1.0/state/store", r#"[{"key":"k","value":1}]"#)
        .await;
    let etag = a.get("/v1.0/state/store/k").await.headers["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = json!([{ "key": "k", "value": 2, "etag": etag }]).to_string();
    assert_eq!(
        a.post("/v1.0/state/store", &body).await.status,
        StatusCode::NO_CONTENT
    );
    let conflict = a.post("/v1.0/state/store", &body).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT);
    assert_eq!(conflict.json()["errorCode"], "ERR_STATE_SAVE");
    let delete = a
        .request(
            Request::delete(a.url("/v1.0/state/store/k")).header("if-match", etag),
            "",
        )
        .await;
    assert_eq!(
        (delete.status, &delete.json()["errorCode"]),
        (StatusCode::CONFLICT, &json!("ERR_STATE_DELETE"))
    );
}

#[tokio::test]
async fn many_keys_are_read_at_once() {
    let (a, _folder) = sidecar().await;
    a.post(
        "/v1.0/state/store",
        r#"[{"key":"a","value":1},{"key":"b","value":2}]"#,
    )
    .await;
    let read = a
        .post("/v1.0/state/store/bulk", r#"{"keys":["a","absent","b"]}"#)
        .await
        .json();
    assert_eq!(
        (&read[0]["key"], &read[0]["data"]),
        (&json!("a"), &json!(1))
    );
    assert_eq!(read[1], json!({ "key": "absent" }));
    assert_eq!(read[2]["data"], json!(2));
}

#[tokio::test]
async fn transaction_applies_together_or_not_at_all() {
    let (a, _folder) = sidecar().await;
    let good = r#"{"operations":[{"operation":"upsert","request":{"key":"x","value":1}},
                   {"operation":"upsert","request":{"key":"y","value":2}},
                   {"operation":"delete","request":{"key":"x"}}]}"#;
    assert_eq!(
        a.post("/v1.0/state/store/transaction", good).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        a.get("/v1.0/state/store/x").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(a.get("/v1.0/state/store/y").await.text(), "2");
    let bad = r#"{"operations":[{"operation":"upsert","request":{"key":"z","value":1}},
                  {"operation":"upsert","request":{"key":"y","value":3,"etag":"999"}}]}"#;
    let refused = a.post("/v1.0/state/store/transaction", bad).await;
    assert_eq!(refused.json()["errorCode"], "ERR_STATE_TRANSACTION");
    assert_eq!(
        a.get("/v1.0/state/store/z").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let ttl = r#"{"operations":[{"operation":"upsert","request":{"key":"z","value":1,"metadata":{"ttlInSeconds":"x"}}}]}"#;
    let refused = a.post("/v1.0/state/store/transaction", ttl).await;
    assert_eq!(refused.json()["errorCode"], "ERR_STATE_TRANSACTION");
    let none = a
        .post("/v1.0/state/store/transaction", r#"{"operations":[]}"#)
        .await;
    assert_eq!(none.status, StatusCode::NO_CONTENT);
    let unknown = a
        .post(
            "/v1.0/state/store/transaction",
            r#"{"operations":[{"operation":"read","request":{}}]}"#,
        )
        .await;
    assert_eq!(
        unknown.json()["errorCode"],
        "ERR_NOT_SUPPORTED_STATE_OPERATION"
    );
}

#[tokio::test]
async fn values_that_expire_say_when() {
    let (a, _folder) = sidecar().await;
    a.post(
        "/v1.0/state/store?metadata.ttlInSeconds=60",
        r#"[{"key":"k","value":1}]"#,
    )
    .await;
    assert!(
        a.get("/v1.0/state/store/k")
            .await
            .headers
            .contains_key("metadata.ttlexpiretime")
    );
    let bad = a
        .post(
            "/v1.0/state/store?metadata.ttlInSeconds=soon",
            r#"[{"key":"k","value":1}]"#,
        )
        .await;
    assert_eq!(bad.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        bad.json()["message"]
            .as_str()
            .unwrap()
            .contains("ttlInSeconds")
    );
}

#[tokio::test]
async fn wrong_requests_say_what_is_wrong() {
    let (a, _folder) = sidecar().await;
    for (path, body, status, code, text) in [
        (
            "/v1.0/state/none",
            "[]",
            400,
            "ERR_STATE_STORE_NOT_FOUND",
            "state store none is not found",
        ),
        (
            "/v1.0/state/store",
            "[",
            400,
            "ERR_MALFORMED_REQUEST",
            "EOF",
        ),
        (
            "/v1.0/state/store",
            r#"[{"value":1}]"#,
            400,
            "ERR_MALFORMED_REQUEST",
            "\"key\" is a required field",
        ),
        (
            "/v1.0/state/store",
            r#"[{"key":"a||b","value":1}]"#,
            400,
            "ERR_MALFORMED_REQUEST",
            "input key/keyPrefix 'a||b' can't contain '||'",
        ),
        (
            "/v1.0-alpha1/state/store/query",
            "{}",
            500,
            "ERR_STATE_STORE_NOT_SUPPORTED",
            "state store does not support querying",
        ),
    ] {
        let response = a.post(path, body).await;
        assert_eq!(
            (response.status.as_u16(), &response.json()["errorCode"]),
            (status, &json!(code)),
            "{path} {body}"
        );
        let message = response.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn without_any_store_the_api_says_so() {
    let a = Sidecar::start(Settings::new("a"), &Directory::default()).await;
    let response = a.get("/v1.0/state/store/k").await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    let body = response.json();
    assert_eq!(body["errorCode"], "ERR_STATE_STORE_NOT_CONFIGURED");
    assert_eq!(body["details"][0]["reason"], "DAPR_STATE_NOT_CONFIGURED");
}

#[tokio::test]
async fn grpc_stores_bytes_as_they_are() {
    let (a, _folder) = sidecar().await;
    let mut dapr = client(&a);
    let item = StateItem {
        key: "k".into(),
        value: vec![0, 159, 146].into(),
        ..Default::default()
    };
    let save = |item| SaveStateRequest {
        store_name: "store".into(),
        states: vec![item],
    };
    dapr.save_state(save(item.clone())).await.unwrap();
    let get = |key: &str| GetStateRequest {
        store_name: "store".into(),
        key: key.into(),
        ..Default::default()
    };
    let read = dapr.get_state(get("k")).await.unwrap().into_inner();
    assert_eq!(&read.data[..], [0, 159, 146]);
    let absent = dapr.get_state(get("absent")).await.unwrap().into_inner();
    assert!(absent.data.is_empty() && absent.etag.is_empty());
    let stale = StateItem {
        etag: Some(Etag {
            value: "999".into(),
        }),
        ..item
    };
    let conflict = dapr.save_state(save(stale)).await.unwrap_err();
    assert_eq!(conflict.code(), Code::Aborted);
    let bulk = GetBulkStateRequest {
        store_name: "store".into(),
        keys: vec!["k".into()],
        ..Default::default()
    };
    let bulk = dapr.get_bulk_state(bulk).await.unwrap().into_inner();
    assert_eq!(&bulk.items[0].data[..], [0, 159, 146]);
    let delete = DeleteStateRequest {
        store_name: "store".into(),
        key: "k".into(),
        ..Default::default()
    };
    dapr.delete_state(delete).await.unwrap();
    assert!(
        dapr.get_state(get("k"))
            .await
            .unwrap()
            .into_inner()
            .data
            .is_empty()
    );
    let missing = GetStateRequest {
        store_name: "none".into(),
        ..Default::default()
    };
    let status = dapr.get_state(missing).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "state store none is not found")
    );
}
