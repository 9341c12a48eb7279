//! The subtle API, behind its feature gate.

use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tonic::Code;
use trilby_proto::runtime::v1::{SubtleGetKeyRequest, SubtleSignRequest, SubtleVerifyRequest};
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

use super::{dapr, sidecar, stopped};

const SUBTLE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  \
                      features:\n  - name: _SubtleCrypto\n    enabled: true\n";

/// A sidecar whose Configuration turns the API on.
async fn turned_on() -> (Daprd, TempDir) {
    let (daprd, folder) = stopped();
    let configuration = folder.path().join("subtle.yaml");
    std::fs::write(&configuration, SUBTLE).unwrap();
    let mut daprd = daprd.arg("--config", configuration.display());
    daprd.start().await;
    (daprd, folder)
}

async fn subtle(daprd: &Daprd, operation: &str, body: &str) -> Response {
    let path = format!("/v1.0-alpha1/subtlecrypto/vault/{operation}");
    Client::host().post(&daprd.url(&path), body).await.unwrap()
}

/// One text of what the operation answers.
async fn text(daprd: &Daprd, operation: &str, body: &str, name: &str) -> String {
    let answer = subtle(daprd, operation, body).await.json();
    let value = answer[name].as_str();
    value.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn subtle_operations_are_off_unless_the_configuration_turns_them_on() {
    let (daprd, _folder) = sidecar().await;
    let text = "this API is currently not implemented";
    let off = subtle(&daprd, "getkey", r#"{"name":"pair.pem"}"#).await;
    assert_eq!(off.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(off.json()["errorCode"], "ERR_API_UNIMPLEMENTED");
    assert_eq!(off.json()["message"], text);
    let asked = SubtleGetKeyRequest {
        component_name: "vault".into(),
        ..Default::default()
    };
    let off = dapr(&daprd).subtle_get_key_alpha1(asked).await.unwrap_err();
    assert_eq!((off.code(), off.message()), (Code::Unimplemented, text));
}

#[tokio::test]
async fn public_keys_are_told_and_shared_ones_are_not() {
    let (daprd, _folder) = turned_on().await;
    let pem = text(&daprd, "getkey", r#"{"name":"pair.pem"}"#, "publicKey").await;
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
    let asked = r#"{"name":"pair.pem","format":"JSON"}"#;
    let jwk: Value =
        serde_json::from_str(&text(&daprd, "getkey", asked, "publicKey").await).unwrap();
    assert_eq!(jwk["crv"], "P-256", "{jwk}");
    let refused = text(&daprd, "getkey", r#"{"name":"key"}"#, "message").await;
    assert_eq!(refused, "failed to retrieve key key: key not found");
}

#[tokio::test]
async fn what_was_encrypted_is_decrypted_unless_it_was_changed() {
    let (daprd, _folder) = turned_on().await;
    let how = r#""keyName":"key","algorithm":"A256GCM","nonce":"AAAAAAAAAAAAAAAA","associated_data":"AAAA""#;
    let asked = format!(r#"{{{how},"plaintext":"ZGF0YQ=="}}"#);
    let sealed = subtle(&daprd, "encrypt", &asked).await.json();
    let (ciphertext, tag) = (&sealed["ciphertext"], &sealed["tag"]);
    let asked = format!(r#"{{{how},"ciphertext":{ciphertext},"tag":{tag}}}"#);
    let opened = text(&daprd, "decrypt", &asked, "plaintext").await;
    assert_eq!(opened, "ZGF0YQ==");
    let asked = format!(r#"{{{how},"ciphertext":"AAAAAA==","tag":{tag}}}"#);
    let changed = subtle(&daprd, "decrypt", &asked).await;
    assert_eq!(changed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let text = "failed to perform operation: failed to decrypt";
    assert_eq!(changed.json()["message"], text);
}

#[tokio::test]
async fn what_was_wrapped_is_unwrapped() {
    let (daprd, _folder) = turned_on().await;
    let (how, key) = (
        r#""keyName":"key","algorithm":"A256KW""#,
        "AAECAwQFBgcICQoLDA0ODw==",
    );
    let asked = format!(r#"{{{how},"plaintextKey":"{key}"}}"#);
    let wrapped = text(&daprd, "wrapkey", &asked, "wrappedKey").await;
    let asked = format!(r#"{{{how},"wrappedKey":"{wrapped}"}}"#);
    assert_eq!(text(&daprd, "unwrapkey", &asked, "plaintextKey").await, key);
}

#[tokio::test]
async fn a_signature_is_valid_for_what_was_signed() {
    let (daprd, _folder) = turned_on().await;
    let mut dapr = dapr(&daprd);
    let signing = SubtleSignRequest {
        component_name: "vault".into(),
        digest: vec![1; 32].into(),
        algorithm: "ES256".into(),
        key_name: "pair.pem".into(),
    };
    let signed = dapr.subtle_sign_alpha1(signing.clone()).await.unwrap();
    let signature = signed.into_inner().signature;
    for (digest, valid) in [([1; 32], true), ([2; 32], false)] {
        let verifying = SubtleVerifyRequest {
            component_name: "vault".into(),
            digest: digest.to_vec().into(),
            algorithm: "ES256".into(),
            key_name: "pair.pem".into(),
            signature: signature.clone(),
        };
        let verified = dapr.subtle_verify_alpha1(verifying).await.unwrap();
        assert_eq!(verified.into_inner().valid, valid);
    }
    let mismatch = SubtleSignRequest {
        algorithm: "RS256".into(),
        ..signing
    };
    let mismatch = dapr.subtle_sign_alpha1(mismatch).await.unwrap_err();
    let text = "failed to perform operation: failed to sign";
    assert_eq!(mismatch.message(), text);
}
