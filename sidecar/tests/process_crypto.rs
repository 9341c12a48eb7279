//! The real binary encrypts and decrypts documents over both protocols.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]
#![allow(clippy::too_many_lines, reason = "tables of cases are long")]

use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use tempfile::TempDir;
use tonic::{Code, Status};
use trilby_grpc::{ChannelConfig, Target};
use trilby_proto::common::v1::StreamPayload;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{
    DecryptRequest, DecryptRequestOptions, EncryptRequest, EncryptRequestOptions,
    SubtleGetKeyRequest, SubtleSignRequest, SubtleVerifyRequest,
};
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

const ENCRYPT: &str = "/v1.0-alpha1/crypto/vault/encrypt";
const DECRYPT: &str = "/v1.0-alpha1/crypto/vault/decrypt";
/// What is asked for, by which headers, the status, the code and the message.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str, String);

const KEY: &[(&str, &str)] = &[("dapr-key-name", "key"), ("dapr-key-wrap-algorithm", "aes")];

const SUBTLE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  \
                      features:\n  - name: _SubtleCrypto\n    enabled: true\n";

/// A sidecar with keys of its own.
async fn sidecar() -> (Daprd, TempDir) {
    let (mut daprd, folder) = stopped();
    daprd.start().await;
    (daprd, folder)
}

fn stopped() -> (Daprd, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let resources = folder.path().join("resources");
    let keys = folder.path().join("keys");
    std::fs::create_dir(&resources).unwrap();
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("key"), [0xfe; 32]).unwrap();
    let component = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: vault\nspec:\n  type: \
         crypto.dapr.localstorage\n  version: v1\n  metadata:\n  - name: path\n    value: {}\n",
        keys.display()
    );
    std::fs::write(resources.join("vault.yaml"), component).unwrap();
    std::fs::write(folder.path().join("subtle.yaml"), SUBTLE).unwrap();
    let pair = rcgen::KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(keys.join("pair.pem"), pair).unwrap();
    let daprd = Daprd::new("shop")
        .arg("--resources-path", resources.display())
        .arg("--max-body-size", "20Mi");
    (daprd, folder)
}

async fn put(daprd: &Daprd, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut request = Request::put(daprd.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body)).unwrap();
    Client::host().request(request).await.unwrap()
}

fn sample(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

fn dapr(daprd: &Daprd) -> DaprClient<trilby_grpc::Channel> {
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: daprd.grpc_address().port(),
    };
    DaprClient::new(trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap())
}

fn pieces(data: &[u8]) -> impl Iterator<Item = Option<StreamPayload>> {
    let data = Bytes::copy_from_slice(data);
    let pieces: Vec<_> = data.chunks(100_000).map(Bytes::copy_from_slice).collect();
    let numbered = pieces.into_iter().zip(0..);
    numbered.map(|(data, seq)| Some(StreamPayload { data, seq }))
}

fn options(cipher: &str) -> EncryptRequestOptions {
    EncryptRequestOptions {
        component_name: "vault".into(),
        key_name: "key".into(),
        key_wrap_algorithm: "A256KW".into(),
        data_encryption_cipher: cipher.into(),
        ..Default::default()
    }
}

async fn encrypt(
    daprd: &Daprd,
    options: Option<EncryptRequestOptions>,
    payloads: Vec<Option<StreamPayload>>,
) -> Result<Vec<u8>, Status> {
    let first = EncryptRequest {
        options,
        payload: None,
    };
    let rest = payloads.into_iter().map(|payload| EncryptRequest {
        options: None,
        payload,
    });
    let messages = stream::iter(std::iter::once(first).chain(rest));
    let mut answers = dapr(daprd).encrypt_alpha1(messages).await?.into_inner();
    let mut document = Vec::new();
    let mut expected = 0;
    while let Some(answer) = answers.message().await? {
        let payload = answer.payload.unwrap();
        assert_eq!(payload.seq, expected);
        expected += 1;
        document.extend_from_slice(&payload.data);
    }
    Ok(document)
}

async fn decrypt(daprd: &Daprd, component: &str, document: &[u8]) -> Result<Vec<u8>, Status> {
    let options = DecryptRequestOptions {
        component_name: component.into(),
        key_name: String::new(),
    };
    let first = DecryptRequest {
        options: Some(options),
        payload: None,
    };
    let rest = pieces(document).map(|payload| DecryptRequest {
        options: None,
        payload,
    });
    let messages = stream::iter(std::iter::once(first).chain(rest.collect::<Vec<_>>()));
    let mut answers = dapr(daprd).decrypt_alpha1(messages).await?.into_inner();
    let mut data = Vec::new();
    while let Some(answer) = answers.message().await? {
        data.extend_from_slice(&answer.payload.unwrap().data);
    }
    Ok(data)
}

#[tokio::test]
async fn documents_of_every_length_come_back_over_both_protocols() {
    let (daprd, _folder) = sidecar().await;
    for length in [0, 1, 65535, 65536, 65537, 10 << 20] {
        let data = sample(length);
        let made = put(&daprd, ENCRYPT, KEY, &data).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text());
        assert_eq!(made.headers["content-type"], "application/octet-stream");
        assert!(
            made.body
                .starts_with(b"dapr.io/enc/v1\n{\"k\":\"key\",\"kw\":1,")
        );
        let opened = put(&daprd, DECRYPT, &[], &made.body).await;
        assert!(
            opened.status == StatusCode::OK && opened.body == data,
            "{length}"
        );
        assert!(
            decrypt(&daprd, "vault", &made.body).await.unwrap() == data,
            "{length}"
        );
        for cipher in ["aes-gcm", "chacha20-poly1305"] {
            let payloads = pieces(&data).collect();
            let made = encrypt(&daprd, Some(options(cipher)), payloads)
                .await
                .unwrap();
            let opened = put(&daprd, DECRYPT, &[], &made).await;
            assert!(opened.body == data, "{cipher} {length}");
        }
    }
    let metrics = daprd.metrics().await;
    let counted = "dapr_component_crypto_count{app_id=\"shop\",component=\"vault\",namespace=\"default\",operation=\"crypto_op\",success=\"true\"}";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn what_cannot_be_done_says_why_over_http() {
    let (daprd, _folder) = sidecar().await;
    let failed = "failed to perform operation: ";
    let wrapping = format!("{failed}failed to wrap the file key: ");
    let cases: &[Refused<'_>] = &[
        (
            "other/encrypt",
            KEY,
            400,
            "ERR_CRYPTO_PROVIDER_NOT_FOUND",
            "crypto provider other not found".into(),
        ),
        (
            "vault/encrypt",
            &[],
            400,
            "ERR_BAD_REQUEST",
            "invalid request: missing header 'dapr-key-name'".into(),
        ),
        (
            "vault/encrypt",
            &[("dapr-key-name", "key")],
            400,
            "ERR_BAD_REQUEST",
            "invalid request: missing header 'dapr-key-wrap-algorithm'".into(),
        ),
        (
            "vault/encrypt",
            &[
                ("dapr-key-name", "key"),
                ("dapr-key-wrap-algorithm", "rot13"),
            ],
            500,
            "ERR_CRYPTO",
            format!("{failed}option Algorithm is not valid: algorithm ROT13 is not supported"),
        ),
        (
            "vault/encrypt",
            &[
                ("dapr-key-name", "key"),
                ("dapr-key-wrap-algorithm", "A256CBC-NOPAD"),
            ],
            500,
            "ERR_CRYPTO",
            format!("{wrapping}failed to encrypt data: unsupported algorithm"),
        ),
        (
            "vault/encrypt",
            &[
                ("dapr-key-name", "a..b"),
                ("dapr-key-wrap-algorithm", "AES"),
            ],
            500,
            "ERR_CRYPTO",
            format!(
                "{wrapping}failed to retrieve the key encryption key: invalid key path: cannot contain '..'"
            ),
        ),
        (
            "vault/decrypt",
            &[],
            500,
            "ERR_CRYPTO",
            format!("{failed}invalid header: unsupported scheme"),
        ),
    ];
    for (path, headers, status, code, text) in cases {
        let refused = put(
            &daprd,
            &format!("/v1.0-alpha1/crypto/{path}"),
            headers,
            b"no\n",
        )
        .await;
        assert_eq!(refused.status.as_u16(), *status, "{path}");
        let body = refused.json();
        assert_eq!(
            (body["errorCode"].as_str(), body["message"].as_str()),
            (Some(*code), Some(text.as_str()))
        );
    }
}

#[tokio::test]
async fn a_document_that_was_changed_is_refused() {
    let (daprd, _folder) = sidecar().await;
    let mut omitting = KEY.to_vec();
    omitting.push(("dapr-omit-decryption-key-name", "yes"));
    let nameless = put(&daprd, ENCRYPT, &omitting, b"data").await.body;
    let refused = put(&daprd, DECRYPT, &[], &nameless).await.json();
    let text = "failed to perform operation: document's manifest does not contain a key name, and no key name was provided";
    assert_eq!(refused["message"], text);
    let opened = put(&daprd, DECRYPT, &[("dapr-key-name", "key")], &nameless).await;
    assert_eq!(opened.text(), "data");
    let unknown = put(&daprd, DECRYPT, &[("dapr-key-name", "other")], &nameless)
        .await
        .json();
    let text = "failed to perform operation: failed to validate the document's signature";
    assert_eq!(unknown["message"], text);

    let mut document = put(&daprd, ENCRYPT, KEY, b"data").await.body.to_vec();
    *document.last_mut().unwrap() ^= 1;
    let refused = put(&daprd, DECRYPT, &[], &document).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    let text = "error processing segment 0: failed to decrypt segment";
    assert_eq!(refused.json()["errorCode"], "ERROR");
    assert_eq!(refused.json()["message"], text);
    let refused = decrypt(&daprd, "vault", &document).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert_eq!(
        refused.message(),
        format!("failed to perform operation: {text}")
    );
}

/// Also to a client that reads nothing before everything is sent.
#[tokio::test]
async fn a_long_document_that_was_changed_at_its_end_is_refused() {
    let (daprd, _folder) = sidecar().await;
    let made = put(&daprd, ENCRYPT, KEY, &sample(10 << 20)).await;
    let mut document = made.body.to_vec();
    *document.last_mut().unwrap() ^= 1;
    let refused = put(&daprd, DECRYPT, &[], &document).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(refused.json()["errorCode"], "ERROR");
}

#[tokio::test]
async fn what_cannot_be_done_says_why_over_grpc() {
    let (daprd, _folder) = sidecar().await;
    let payload = |seq| {
        Some(StreamPayload {
            data: "data".into(),
            seq,
        })
    };
    let unnamed = EncryptRequestOptions {
        key_name: String::new(),
        ..options("")
    };
    let plain = EncryptRequestOptions {
        key_wrap_algorithm: String::new(),
        ..options("")
    };
    for (options, payloads, code, text) in [
        (
            None,
            vec![],
            Code::InvalidArgument,
            "invalid request: first message does not contain the required options",
        ),
        (
            Some(unnamed),
            vec![],
            Code::InvalidArgument,
            "invalid request: missing property 'keyName' in the options message",
        ),
        (
            Some(plain),
            vec![],
            Code::InvalidArgument,
            "invalid request: missing property 'keyWrapAlgorithm' in the options message",
        ),
        (
            Some(options("")),
            vec![payload(0), payload(2)],
            Code::Internal,
            "failed to perform operation: invalid sequence number received: 2 (expected: 1)",
        ),
        (
            Some(options("des")),
            vec![],
            Code::Internal,
            "failed to perform operation: option Cipher is not valid: cipher DES is not supported",
        ),
    ] {
        let refused = encrypt(&daprd, options, payloads).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (code, text));
    }
    let refused = decrypt(&daprd, "other", b"").await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "crypto provider other not found")
    );
    let silent = dapr(&daprd)
        .encrypt_alpha1(stream::pending())
        .await
        .unwrap_err();
    let text = "invalid request: error waiting for first message: context deadline exceeded";
    assert_eq!(
        (silent.code(), silent.message()),
        (Code::InvalidArgument, text)
    );
}

async fn subtle(daprd: &Daprd, operation: &str, body: &str) -> Response {
    let path = format!("/v1.0-alpha1/subtlecrypto/vault/{operation}");
    Client::host().post(&daprd.url(&path), body).await.unwrap()
}

#[tokio::test]
async fn subtle_operations_are_off_unless_the_configuration_turns_them_on() {
    let (daprd, _folder) = sidecar().await;
    let off = subtle(&daprd, "getkey", r#"{"name":"pair.pem"}"#).await;
    assert_eq!(off.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(off.json()["errorCode"], "ERR_API_UNIMPLEMENTED");
    assert_eq!(
        off.json()["message"],
        "this API is currently not implemented"
    );
    let asked = SubtleGetKeyRequest {
        component_name: "vault".into(),
        ..Default::default()
    };
    let off = dapr(&daprd).subtle_get_key_alpha1(asked).await.unwrap_err();
    assert_eq!(
        (off.code(), off.message()),
        (Code::Unimplemented, "this API is currently not implemented")
    );
}

#[tokio::test]
async fn subtle_operations_over_both_protocols() {
    let (daprd, folder) = stopped();
    let mut daprd = daprd.arg("--config", folder.path().join("subtle.yaml").display());
    daprd.start().await;
    let pem = subtle(&daprd, "getkey", r#"{"name":"pair.pem"}"#)
        .await
        .json();
    assert!(
        pem["publicKey"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN PUBLIC KEY-----\n"),
        "{pem}"
    );
    let jwk = subtle(&daprd, "getkey", r#"{"name":"pair.pem","format":"JSON"}"#)
        .await
        .json();
    assert!(
        jwk["publicKey"]
            .as_str()
            .unwrap()
            .contains(r#""crv":"P-256""#),
        "{jwk}"
    );
    let shared = subtle(&daprd, "getkey", r#"{"name":"key"}"#).await;
    assert_eq!(
        shared.json()["message"],
        "failed to retrieve key key: key not found"
    );

    let how = r#""keyName":"key","algorithm":"A256GCM","nonce":"AAAAAAAAAAAAAAAA","associated_data":"AAAA""#;
    let sealed = subtle(
        &daprd,
        "encrypt",
        &format!(r#"{{{how},"plaintext":"ZGF0YQ=="}}"#),
    )
    .await
    .json();
    let (text, tag) = (
        sealed["ciphertext"].as_str().unwrap(),
        sealed["tag"].as_str().unwrap(),
    );
    let opened = format!(r#"{{{how},"ciphertext":"{text}","tag":"{tag}"}}"#);
    let opened = subtle(&daprd, "decrypt", &opened).await.json();
    assert_eq!(opened["plaintext"], "ZGF0YQ==");
    let changed = format!(r#"{{{how},"ciphertext":"AAAAAA==","tag":"{tag}"}}"#);
    let changed = subtle(&daprd, "decrypt", &changed).await;
    assert_eq!(changed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        changed.json()["message"],
        "failed to perform operation: failed to decrypt"
    );

    let wrapped =
        r#"{"keyName":"key","algorithm":"A256KW","plaintextKey":"AAECAwQFBgcICQoLDA0ODw=="}"#;
    let wrapped = subtle(&daprd, "wrapkey", wrapped).await.json();
    let wrapped = wrapped["wrappedKey"].as_str().unwrap();
    let asked = format!(r#"{{"keyName":"key","algorithm":"A256KW","wrappedKey":"{wrapped}"}}"#);
    let unwrapped = subtle(&daprd, "unwrapkey", &asked).await.json();
    assert_eq!(unwrapped["plaintextKey"], "AAECAwQFBgcICQoLDA0ODw==");

    let mut dapr = dapr(&daprd);
    let signing = SubtleSignRequest {
        component_name: "vault".into(),
        digest: vec![1; 32].into(),
        algorithm: "ES256".into(),
        key_name: "pair.pem".into(),
    };
    let signed = dapr
        .subtle_sign_alpha1(signing.clone())
        .await
        .unwrap()
        .into_inner();
    for (digest, valid) in [(vec![1; 32], true), (vec![2; 32], false)] {
        let verifying = SubtleVerifyRequest {
            component_name: "vault".into(),
            digest: digest.into(),
            algorithm: "ES256".into(),
            key_name: "pair.pem".into(),
            signature: signed.signature.clone(),
        };
        let verified = dapr
            .subtle_verify_alpha1(verifying)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(verified.valid, valid);
    }
    let mismatch = SubtleSignRequest {
        algorithm: "RS256".into(),
        ..signing
    };
    let mismatch = dapr.subtle_sign_alpha1(mismatch).await.unwrap_err();
    assert_eq!(
        mismatch.message(),
        "failed to perform operation: failed to sign"
    );
}
