//! Documents come back as they were, or not at all.

use http::StatusCode;
use tonic::Code;
use trilby_testkit::services::Daprd;

use super::{DECRYPT, ENCRYPT, KEY, decrypt, encrypt, options, pieces, put, sidecar};

fn sample(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

/// A document of that many bytes, encrypted over HTTP, with the last bit turned.
async fn changed(daprd: &Daprd, length: usize) -> Vec<u8> {
    let made = put(daprd, ENCRYPT, KEY, &sample(length)).await;
    let mut document = made.body.to_vec();
    *document.last_mut().unwrap() ^= 1;
    document
}

#[tokio::test]
async fn documents_of_every_length_come_back_over_both_protocols() {
    let (daprd, _folder) = sidecar().await;
    for length in [0, 1, 65535, 65536, 65537, 10 << 20] {
        let data = sample(length);
        let made = put(&daprd, ENCRYPT, KEY, &data).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text());
        assert_eq!(made.headers["content-type"], "application/octet-stream");
        let start = b"dapr.io/enc/v1\n{\"k\":\"key\",\"kw\":1,";
        assert!(made.body.starts_with(start), "{length}");
        let opened = put(&daprd, DECRYPT, &[], &made.body).await;
        assert_eq!(opened.status, StatusCode::OK, "{length}");
        assert!(opened.body == data, "{length}");
        let opened = decrypt(&daprd, "vault", &made.body).await.unwrap();
        assert!(opened == data, "{length}");
        for cipher in ["aes-gcm", "chacha20-poly1305"] {
            let made = encrypt(&daprd, Some(options(cipher)), pieces(&data).collect()).await;
            let opened = put(&daprd, DECRYPT, &[], &made.unwrap()).await;
            assert!(opened.body == data, "{cipher} {length}");
        }
    }
    let metrics = daprd.metrics().await;
    let counted = "dapr_component_crypto_count{app_id=\"shop\",component=\"vault\",namespace=\"default\",operation=\"crypto_op\",success=\"true\"}";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_document_without_key_name_is_opened_by_who_knows_the_key() {
    let (daprd, _folder) = sidecar().await;
    let mut omitting = KEY.to_vec();
    omitting.push(("dapr-omit-decryption-key-name", "yes"));
    let nameless = put(&daprd, ENCRYPT, &omitting, b"data").await.body;
    let refused = put(&daprd, DECRYPT, &[], &nameless).await.json();
    let text = "failed to perform operation: document's manifest does not contain a key name, and no key name was provided";
    assert_eq!(refused["message"], text);
    let opened = put(&daprd, DECRYPT, &[("dapr-key-name", "key")], &nameless).await;
    assert_eq!(opened.text(), "data");
    let other = [("dapr-key-name", "other")];
    let unknown = put(&daprd, DECRYPT, &other, &nameless).await.json();
    let text = "failed to perform operation: failed to validate the document's signature";
    assert_eq!(unknown["message"], text);
}

#[tokio::test]
async fn a_document_that_was_changed_is_refused_over_both_protocols() {
    let (daprd, _folder) = sidecar().await;
    let document = changed(&daprd, 4).await;
    let refused = put(&daprd, DECRYPT, &[], &document).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    let text = "error processing segment 0: failed to decrypt segment";
    assert_eq!(refused.json()["errorCode"], "ERROR");
    assert_eq!(refused.json()["message"], text);
    let refused = decrypt(&daprd, "vault", &document).await.unwrap_err();
    let text = format!("failed to perform operation: {text}");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Internal, text.as_str())
    );
}

/// Also to a client that reads nothing before everything is sent.
#[tokio::test]
async fn a_long_document_that_was_changed_at_its_end_is_refused() {
    let (daprd, _folder) = sidecar().await;
    let document = changed(&daprd, 10 << 20).await;
    let refused = put(&daprd, DECRYPT, &[], &document).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(refused.json()["errorCode"], "ERROR");
}
