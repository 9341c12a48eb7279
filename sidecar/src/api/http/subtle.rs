//! The subtle crypto API over HTTP: gRPC's messages as JSON.

use axum::body::Body;
use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use bytes::Bytes;
use http::Request;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use trilby_proto::runtime::v1::{
    SubtleDecryptRequest, SubtleEncryptRequest, SubtleGetKeyRequest, SubtleSignRequest,
    SubtleUnwrapKeyRequest, SubtleVerifyRequest, SubtleWrapKeyRequest,
};

use super::HttpApi;
use super::respond::{HttpResponse, failed, json};
use super::route::SubtleRoute;
use super::service::body_of;
use crate::api::subtle;
use crate::error::ApiError;

/// The members of all requests; each operation reads its own.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    name: String,
    format: Format,
    algorithm: String,
    #[serde(alias = "key_name")]
    key_name: String,
    nonce: Data,
    tag: Data,
    #[serde(alias = "associated_data")]
    associated_data: Data,
    plaintext: Data,
    ciphertext: Data,
    #[serde(alias = "plaintext_key")]
    plaintext_key: Data,
    #[serde(alias = "wrapped_key")]
    wrapped_key: Data,
    digest: Data,
    signature: Data,
}

/// Bytes: base64 of either alphabet.
#[derive(Default)]
struct Data(Bytes);

/// The number of a key's format, or its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Format {
    Number(i32),
    Name(String),
}

pub(super) async fn serve(
    api: &HttpApi,
    (provider, route): (String, SubtleRoute),
    request: Request<Body>,
) -> HttpResponse {
    match answer(api, (provider, route), request).await {
        Ok(answer) => json(&answer),
        Err(error) => failed(&error),
    }
}

async fn answer(
    api: &HttpApi,
    (provider, route): (String, SubtleRoute),
    request: Request<Body>,
) -> Result<Value, ApiError> {
    let body = body_of(api, request.into_body()).await;
    let body = body.map_err(ApiError::body_read)?;
    let asked = match body.is_empty() {
        true => Asked::default(),
        false => serde_json::from_slice(&body).map_err(ApiError::malformed)?,
    };
    let crypto = &api.blocks.crypto;
    Ok(match route {
        SubtleRoute::GetKey => {
            let found = subtle::get_key(crypto, asked.get_key(provider)).await?;
            texts([("name", found.name), ("publicKey", found.public_key)])
        }
        SubtleRoute::Encrypt => {
            let found = subtle::encrypt(crypto, asked.encrypt(provider)).await?;
            bytes([("ciphertext", found.ciphertext), ("tag", found.tag)])
        }
        SubtleRoute::Decrypt => {
            let found = subtle::decrypt(crypto, asked.decrypt(provider)).await?;
            bytes([("plaintext", found.plaintext)])
        }
        SubtleRoute::WrapKey => {
            let found = subtle::wrap_key(crypto, asked.wrap_key(provider)).await?;
            bytes([("wrappedKey", found.wrapped_key), ("tag", found.tag)])
        }
        SubtleRoute::UnwrapKey => {
            let found = subtle::unwrap_key(crypto, asked.unwrap_key(provider)).await?;
            bytes([("plaintextKey", found.plaintext_key)])
        }
        SubtleRoute::Sign => {
            let found = subtle::sign(crypto, asked.sign(provider)).await?;
            bytes([("signature", found.signature)])
        }
        SubtleRoute::Verify => match subtle::verify(crypto, asked.verify(provider)).await?.valid {
            true => Value::Object(Map::from_iter([("valid".to_owned(), true.into())])),
            false => Value::Object(Map::new()),
        },
    })
}

impl Asked {
    fn get_key(self, component_name: String) -> SubtleGetKeyRequest {
        SubtleGetKeyRequest {
            component_name,
            name: self.name,
            format: self.format.number(),
        }
    }

    fn encrypt(self, component_name: String) -> SubtleEncryptRequest {
        SubtleEncryptRequest {
            component_name,
            plaintext: self.plaintext.0,
            algorithm: self.algorithm,
            key_name: self.key_name,
            nonce: self.nonce.0,
            associated_data: self.associated_data.0,
        }
    }

    fn decrypt(self, component_name: String) -> SubtleDecryptRequest {
        SubtleDecryptRequest {
            component_name,
            ciphertext: self.ciphertext.0,
            algorithm: self.algorithm,
            key_name: self.key_name,
            nonce: self.nonce.0,
            tag: self.tag.0,
            associated_data: self.associated_data.0,
        }
    }

    fn wrap_key(self, component_name: String) -> SubtleWrapKeyRequest {
        SubtleWrapKeyRequest {
            component_name,
            plaintext_key: self.plaintext_key.0,
            algorithm: self.algorithm,
            key_name: self.key_name,
            nonce: self.nonce.0,
            associated_data: self.associated_data.0,
        }
    }

    fn unwrap_key(self, component_name: String) -> SubtleUnwrapKeyRequest {
        SubtleUnwrapKeyRequest {
            component_name,
            wrapped_key: self.wrapped_key.0,
            algorithm: self.algorithm,
            key_name: self.key_name,
            nonce: self.nonce.0,
            tag: self.tag.0,
            associated_data: self.associated_data.0,
        }
    }

    fn sign(self, component_name: String) -> SubtleSignRequest {
        SubtleSignRequest {
            component_name,
            digest: self.digest.0,
            algorithm: self.algorithm,
            key_name: self.key_name,
        }
    }

    fn verify(self, component_name: String) -> SubtleVerifyRequest {
        SubtleVerifyRequest {
            component_name,
            digest: self.digest.0,
            algorithm: self.algorithm,
            key_name: self.key_name,
            signature: self.signature.0,
        }
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Format {
    /// What is no format has a number that none has.
    fn number(&self) -> i32 {
        match self {
            Self::Number(number) => *number,
            Self::Name(name) if name == "PEM" => 0,
            Self::Name(name) if name == "JSON" => 1,
            Self::Name(_) => -1,
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        let config = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        let alphabet = match text.contains(['-', '_']) {
            true => &URL_SAFE,
            false => &STANDARD,
        };
        let decoded = GeneralPurpose::new(alphabet, config).decode(text);
        decoded
            .map(|bytes| Self(bytes.into()))
            .map_err(de::Error::custom)
    }
}

/// As gRPC's JSON has it: what is empty is left out.
fn bytes<const N: usize>(members: [(&str, Bytes); N]) -> Value {
    texts(members.map(|(name, data)| (name, BASE64_STANDARD.encode(data))))
}

fn texts<const N: usize>(members: [(&str, String); N]) -> Value {
    let given = members.into_iter().filter(|(_, text)| !text.is_empty());
    let members = given.map(|(name, text)| (name.to_owned(), Value::String(text)));
    Value::Object(members.collect())
}
