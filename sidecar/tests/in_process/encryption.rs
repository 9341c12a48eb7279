//! State that is encrypted at rest, with keys that are changed while the sidecar runs.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde_json::json;
use trilby_grpc::{Channel, ChannelConfig, Target};
use trilby_proto::common::v1::StateItem;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{
    ExecuteStateTransactionRequest, GetStateRequest, SaveStateRequest, TransactionalStateOperation,
};
use trilby_testkit::assert_eventually;

use crate::sidecar::{Directory, Settings, Sidecar};

const SECRETS: &str =
    r#"{"one":"00112233445566778899aabbccddeeff","two":"ffeeddccbbaa99887766554433221100"}"#;

/// A store in `file` below its name, encrypted with the keys of these secrets.
fn store(name: &str, file: &Path, keys: &[(&str, &str)]) -> String {
    let mut text = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nauth:\n  secretStore: secrets\n\
         spec:\n  type: state.sqlite\n  version: v1\n  metadata:\n  - name: keyPrefix\n    value: none\n  \
         - name: connectionString\n    value: {}\n",
        file.display()
    );
    for (property, secret) in keys {
        text += &format!("  - name: {property}\n    secretKeyRef:\n      name: {secret}\n");
    }
    text
}

/// Beside the encrypted store, the same file as it is, and a store with another key.
async fn sidecar() -> (Sidecar, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let resources = folder.path().join("resources");
    std::fs::create_dir(&resources).unwrap();
    let (secrets, file) = (
        folder.path().join("secrets.json"),
        folder.path().join("state.db"),
    );
    std::fs::write(&secrets, SECRETS).unwrap();
    let local = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: secrets\nspec:\n  \
         type: secretstores.local.file\n  version: v1\n  metadata:\n  - name: secretsFile\n    value: {}\n",
        secrets.display()
    );
    for (name, text) in [
        ("secrets", local),
        (
            "store",
            store("store", &file, &[("primaryEncryptionKey", "one")]),
        ),
        ("plain", store("plain", &file, &[])),
        (
            "other",
            store("other", &file, &[("primaryEncryptionKey", "two")]),
        ),
    ] {
        std::fs::write(resources.join(format!("{name}.yaml")), text).unwrap();
    }
    let registry = trilby_components::registry::Registry::in_memory()
        .with(trilby_components_sqlite::backends())
        .with(trilby_components_local::backends());
    let settings = Settings::new("a").resources(&resources).registry(registry);
    let sidecar = Sidecar::start(settings, &Directory::default()).await;
    (sidecar, folder)
}

fn client(sidecar: &Sidecar) -> DaprClient<Channel> {
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: sidecar.grpc.port(),
    };
    DaprClient::new(trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap())
}

async fn saved(sidecar: &Sidecar, store: &str, body: &str) {
    let answer = sidecar.post(&format!("/v1.0/state/{store}"), body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
}

async fn read(sidecar: &Sidecar, store: &str, key: &str) -> String {
    sidecar
        .get(&format!("/v1.0/state/{store}/{key}"))
        .await
        .text()
}

/// Upstream encrypts Go's rendering of a document, `map[a:1]`.
#[tokio::test]
async fn documents_are_stored_encrypted_and_come_back_as_they_were() {
    let (a, _folder) = sidecar().await;
    let document = r#"{"b":[9007199254740993,1.50],"a":{"x":null}}"#;
    saved(
        &a,
        "store",
        &format!(r#"[{{"key":"d","value": {document} }},{{"key":"s","value":"te\"xt"}},{{"key":"n","value":5}}]"#),
    )
    .await;
    let transaction =
        r#"{"operations":[{"operation":"upsert","request":{"key":"t","value":{"z":1,"a":2}}}]}"#;
    let answer = a.post("/v1.0/state/store/transaction", transaction).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    // A text comes back without quotes, as upstream has it.
    for (key, value) in [
        ("d", document),
        ("s", "te\"xt"),
        ("n", "5"),
        ("t", r#"{"z":1,"a":2}"#),
    ] {
        assert_eq!(read(&a, "store", key).await, value);
        let stored = read(&a, "plain", key).await;
        let encrypted = stored.strip_suffix("||one").unwrap();
        let length = STANDARD.decode(encrypted).unwrap().len();
        // The nonce and the tag of AES-GCM, around as many bytes as there were.
        assert_eq!(length, 12 + value.len() + 16, "{stored}");
    }
    let bulk = a
        .post("/v1.0/state/store/bulk", r#"{"keys":["s","n","none"]}"#)
        .await
        .json();
    assert_eq!(bulk[0]["data"], json!("te\"xt"));
    assert_eq!(bulk[1]["data"], json!(5));
    assert_eq!(bulk[2], json!({"key":"none"}));
}

/// Upstream encrypts the bytes of a transaction as a list of numbers in a text.
#[tokio::test]
async fn every_byte_comes_back_over_grpc() {
    let (a, _folder) = sidecar().await;
    let mut dapr = client(&a);
    let all: Vec<u8> = (0..=255).collect();
    let item = |key: &str, value: &[u8]| StateItem {
        key: key.to_owned(),
        value: value.to_vec().into(),
        ..Default::default()
    };
    let save = SaveStateRequest {
        store_name: "store".into(),
        states: vec![item("all", &all), item("empty", b"")],
    };
    dapr.save_state(save).await.unwrap();
    let operation = TransactionalStateOperation {
        operation_type: "upsert".into(),
        request: Some(item("transacted", &all)),
    };
    let transaction = ExecuteStateTransactionRequest {
        store_name: "store".into(),
        operations: vec![operation],
        ..Default::default()
    };
    dapr.execute_state_transaction(transaction).await.unwrap();
    for (key, value) in [("all", &all[..]), ("empty", b""), ("transacted", &all)] {
        let get = GetStateRequest {
            store_name: "store".into(),
            key: key.into(),
            ..Default::default()
        };
        let found = dapr.get_state(get).await.unwrap().into_inner();
        assert_eq!(&found.data[..], value, "{key}");
        assert!(!found.etag.is_empty());
    }
}

#[tokio::test]
async fn what_cannot_be_decrypted_is_an_error_that_says_why() {
    let (a, _folder) = sidecar().await;
    saved(&a, "store", r#"[{"key":"k","value":1}]"#).await;
    saved(&a, "plain", r#"[{"key":"p","value":{"a":1}}]"#).await;
    for (store, key, why) in [
        (
            "other",
            "k",
            "encrypted with the key \"one\", which is neither",
        ),
        ("store", "p", "the stored value is not encrypted"),
    ] {
        let answer = a.get(&format!("/v1.0/state/{store}/{key}")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let body = answer.json();
        assert_eq!(body["errorCode"], "ERR_STATE_GET");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
        let bulk = format!(r#"{{"keys":["{key}"]}}"#);
        let bulk = a
            .post(&format!("/v1.0/state/{store}/bulk"), &bulk)
            .await
            .json();
        assert!(bulk[0]["error"].as_str().unwrap().contains(why), "{bulk}");
    }
}

#[tokio::test]
async fn a_new_key_encrypts_and_the_old_one_is_still_read() {
    let (a, folder) = sidecar().await;
    saved(&a, "store", r#"[{"key":"k","value":{"n":1}}]"#).await;
    let keys = [
        ("primaryEncryptionKey", "two"),
        ("secondaryEncryptionKey", "one"),
    ];
    let rotated = store("store", &folder.path().join("state.db"), &keys);
    std::fs::write(folder.path().join("resources/store.yaml"), rotated).unwrap();
    let written = async || {
        saved(&a, "store", r#"[{"key":"new","value":2}]"#).await;
        read(&a, "plain", "new").await
    };
    assert_eventually!(written().await.ends_with("||two"));
    assert_eq!(read(&a, "store", "k").await, r#"{"n":1}"#);
    assert_eq!(read(&a, "store", "new").await, "2");
    assert_eq!(read(&a, "other", "new").await, "2");
}
