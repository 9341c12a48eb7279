//! The real binary encrypts and decrypts documents over both protocols.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod documents;
mod refusals;
mod reload;
mod subtle;

use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use tempfile::TempDir;
use tonic::Status;
use trilby_grpc::{ChannelConfig, Target};
use trilby_proto::common::v1::StreamPayload;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{
    DecryptRequest, DecryptRequestOptions, EncryptRequest, EncryptRequestOptions,
};
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

const ENCRYPT: &str = "/v1.0-alpha1/crypto/vault/encrypt";
const DECRYPT: &str = "/v1.0-alpha1/crypto/vault/decrypt";
const KEY: &[(&str, &str)] = &[("dapr-key-name", "key"), ("dapr-key-wrap-algorithm", "aes")];

/// A sidecar with keys of its own.
async fn sidecar() -> (Daprd, TempDir) {
    let (mut daprd, folder) = stopped();
    daprd.start().await;
    (daprd, folder)
}

/// Keys lie in `keys`, the component `vault` in `resources`.
fn stopped() -> (Daprd, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let resources = folder.path().join("resources");
    let keys = folder.path().join("keys");
    std::fs::create_dir(&resources).unwrap();
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("key"), [0xfe; 32]).unwrap();
    let pair = rcgen::KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(keys.join("pair.pem"), pair).unwrap();
    component(folder.path(), "localstorage", "path", &keys.display());
    let daprd = Daprd::new("shop")
        .arg("--resources-path", resources.display())
        .arg("--max-body-size", "20Mi");
    (daprd, folder)
}

/// Puts the component there, or another one in its place, whole, so that no half of it is read.
fn component(folder: &Path, kind: &str, setting: &str, value: &dyn std::fmt::Display) {
    let component = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: vault\nspec:\n  type: \
         crypto.dapr.{kind}\n  version: v1\n  metadata:\n  - name: {setting}\n    value: '{value}'\n"
    );
    let new = folder.join("vault.new");
    std::fs::write(&new, component).unwrap();
    std::fs::rename(new, folder.join("resources/vault.yaml")).unwrap();
}

async fn put(daprd: &Daprd, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut request = Request::put(daprd.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body)).unwrap();
    Client::host().request(request).await.unwrap()
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
