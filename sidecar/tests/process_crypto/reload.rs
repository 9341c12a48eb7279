//! Keys and the component change while the sidecar runs.

use std::path::Path;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use trilby_proto::common::v1::StreamPayload;
use trilby_proto::runtime::v1::EncryptRequest;
use trilby_testkit::assert_eventually;
use trilby_testkit::services::Daprd;

use super::{DECRYPT, ENCRYPT, KEY, component, dapr, options, put, sidecar};

async fn sealed(daprd: &Daprd) -> Bytes {
    let made = put(daprd, ENCRYPT, KEY, b"data").await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text());
    made.body
}

async fn opens(daprd: &Daprd, document: &[u8]) -> bool {
    let opened = put(daprd, DECRYPT, &[], document).await;
    opened.status == StatusCode::OK && opened.body == "data"
}

/// Another folder, whose key of the same name is another one.
fn other_keys(folder: &Path) -> std::path::PathBuf {
    let other = folder.join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("key"), [0xfd; 32]).unwrap();
    other
}

/// A set of one key, `key`, all of whose bytes are the same.
fn set(byte: u8) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([byte; 32]);
    json!({ "keys": [{ "kty": "oct", "kid": "key", "k": bytes }] }).to_string()
}

#[tokio::test]
async fn a_key_that_changes_on_disk_counts_from_the_next_document_on() {
    let (daprd, folder) = sidecar().await;
    let first = sealed(&daprd).await;
    let key = folder.path().join("keys/key");
    std::fs::write(&key, [0xfd; 32]).unwrap();
    let second = sealed(&daprd).await;
    assert!(opens(&daprd, &second).await && !opens(&daprd, &first).await);
    std::fs::write(&key, [0xfe; 32]).unwrap();
    assert!(opens(&daprd, &first).await && !opens(&daprd, &second).await);
}

#[tokio::test]
async fn a_component_that_changes_brings_its_keys_and_one_that_cannot_be_leaves_them() {
    let (daprd, folder) = sidecar().await;
    let first = sealed(&daprd).await;
    let other = other_keys(folder.path());
    component(folder.path(), "localstorage", "path", &other.display());
    assert_eventually!(!opens(&daprd, &first).await);
    let second = sealed(&daprd).await;
    component(folder.path(), "localstorage", "path", &"/does/not/exist");
    assert_eventually!(daprd.log().text().contains("/does/not/exist"));
    assert!(opens(&daprd, &second).await);
    // The same name may become another type of component, and go.
    component(folder.path(), "jwks", "jwks", &set(0xfe));
    assert_eventually!(opens(&daprd, &first).await);
    std::fs::remove_file(folder.path().join("resources/vault.yaml")).unwrap();
    assert_eventually!(
        put(&daprd, ENCRYPT, KEY, b"")
            .await
            .text()
            .contains("ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED")
    );
}

#[tokio::test]
async fn a_set_of_keys_changes_by_its_component_and_on_disk() {
    let (daprd, folder) = sidecar().await;
    let first = sealed(&daprd).await;
    component(folder.path(), "jwks", "jwks", &set(0xfd));
    assert_eventually!(!opens(&daprd, &first).await);
    let second = sealed(&daprd).await;
    let file = folder.path().join("set.json");
    std::fs::write(&file, set(0xfe)).unwrap();
    component(folder.path(), "jwks", "jwks", &file.display());
    assert_eventually!(opens(&daprd, &first).await);
    std::fs::write(&file, set(0xfd)).unwrap();
    assert_eventually!(opens(&daprd, &second).await);
}

/// What began with the keys of one instance ends with them.
#[tokio::test]
async fn a_document_under_way_outlives_the_component() {
    let (daprd, folder) = sidecar().await;
    let first = sealed(&daprd).await;
    let (messages, sent) = mpsc::channel(1);
    let payload = |data: &'static str, seq| EncryptRequest {
        options: (seq == 0).then(|| options("")),
        payload: Some(StreamPayload {
            data: data.into(),
            seq,
        }),
    };
    messages.send(payload("da", 0)).await.unwrap();
    let answers = dapr(&daprd).encrypt_alpha1(ReceiverStream::new(sent)).await;
    let mut answers = answers.unwrap().into_inner();
    let first_part = answers.message().await.unwrap().unwrap();
    let mut document = first_part.payload.unwrap().data.to_vec();
    let other = other_keys(folder.path());
    component(folder.path(), "localstorage", "path", &other.display());
    assert_eventually!(!opens(&daprd, &first).await);
    messages.send(payload("ta", 1)).await.unwrap();
    drop(messages);
    while let Some(answer) = answers.message().await.unwrap() {
        document.extend_from_slice(&answer.payload.unwrap().data);
    }
    assert!(!opens(&daprd, &document).await);
    let keys = folder.path().join("keys");
    component(folder.path(), "localstorage", "path", &keys.display());
    assert_eventually!(opens(&daprd, &document).await);
}
