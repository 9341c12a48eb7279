//! The subtle crypto API, in the messages that both protocols speak.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use trilby_components::crypto::{Parameters, Sealed};
use trilby_proto::runtime::v1::subtle_get_key_request::KeyFormat;
use trilby_proto::runtime::v1::{
    SubtleDecryptRequest, SubtleDecryptResponse, SubtleEncryptRequest, SubtleEncryptResponse,
    SubtleGetKeyRequest, SubtleGetKeyResponse, SubtleSignRequest, SubtleSignResponse,
    SubtleUnwrapKeyRequest, SubtleUnwrapKeyResponse, SubtleVerifyRequest, SubtleVerifyResponse,
    SubtleWrapKeyRequest, SubtleWrapKeyResponse,
};

use crate::blocks::crypto::Crypto;
use crate::error::ApiError;

/// How the parameters of a request are called.
macro_rules! parameters {
    ($asked:ident) => {
        Parameters {
            key: &$asked.key_name,
            algorithm: &$asked.algorithm,
            ..Parameters::default()
        }
    };
    ($asked:ident, with nonce) => {
        Parameters {
            nonce: &$asked.nonce,
            associated_data: &$asked.associated_data,
            ..parameters!($asked)
        }
    };
}

pub(super) async fn get_key(
    crypto: &Crypto,
    asked: SubtleGetKeyRequest,
) -> Result<SubtleGetKeyResponse, ApiError> {
    let key = crypto
        .public_key(&asked.component_name, &asked.name)
        .await?;
    let format = KeyFormat::try_from(asked.format);
    let public_key = match format.map_err(|_| ApiError::bad_request("invalid key format"))? {
        KeyFormat::Pem => pem(&key.der),
        KeyFormat::Json => serde_json::Value::Object(key.jwk).to_string(),
    };
    let name = asked.name;
    Ok(SubtleGetKeyResponse { name, public_key })
}

pub(super) async fn encrypt(
    crypto: &Crypto,
    asked: SubtleEncryptRequest,
) -> Result<SubtleEncryptResponse, ApiError> {
    let with = parameters!(asked, with nonce);
    let sealed = crypto.seal(&asked.component_name, with, &asked.plaintext);
    let Sealed { ciphertext, tag } = sealed.await?;
    Ok(SubtleEncryptResponse {
        ciphertext: ciphertext.into(),
        tag: tag.into(),
    })
}

pub(super) async fn decrypt(
    crypto: &Crypto,
    asked: SubtleDecryptRequest,
) -> Result<SubtleDecryptResponse, ApiError> {
    let sealed = Sealed {
        ciphertext: asked.ciphertext.to_vec(),
        tag: asked.tag.to_vec(),
    };
    let with = parameters!(asked, with nonce);
    let plaintext = crypto.open(&asked.component_name, with, &sealed).await?;
    Ok(SubtleDecryptResponse {
        plaintext: plaintext.into(),
    })
}

pub(super) async fn wrap_key(
    crypto: &Crypto,
    asked: SubtleWrapKeyRequest,
) -> Result<SubtleWrapKeyResponse, ApiError> {
    let with = parameters!(asked, with nonce);
    let wrapped = crypto.wrap_key(&asked.component_name, with, &asked.plaintext_key);
    let Sealed { ciphertext, tag } = wrapped.await?;
    Ok(SubtleWrapKeyResponse {
        wrapped_key: ciphertext.into(),
        tag: tag.into(),
    })
}

pub(super) async fn unwrap_key(
    crypto: &Crypto,
    asked: SubtleUnwrapKeyRequest,
) -> Result<SubtleUnwrapKeyResponse, ApiError> {
    let wrapped = Sealed {
        ciphertext: asked.wrapped_key.to_vec(),
        tag: asked.tag.to_vec(),
    };
    let with = parameters!(asked, with nonce);
    let key = crypto
        .unwrap_key(&asked.component_name, with, &wrapped)
        .await?;
    Ok(SubtleUnwrapKeyResponse {
        plaintext_key: key.into(),
    })
}

pub(super) async fn sign(
    crypto: &Crypto,
    asked: SubtleSignRequest,
) -> Result<SubtleSignResponse, ApiError> {
    let signed = crypto.sign(&asked.component_name, parameters!(asked), &asked.digest);
    Ok(SubtleSignResponse {
        signature: signed.await?.into(),
    })
}

pub(super) async fn verify(
    crypto: &Crypto,
    asked: SubtleVerifyRequest,
) -> Result<SubtleVerifyResponse, ApiError> {
    let signed = (&asked.digest[..], &asked.signature[..]);
    let valid = crypto.verify(&asked.component_name, parameters!(asked), signed);
    let valid = valid.await?;
    Ok(SubtleVerifyResponse { valid })
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem + "-----END PUBLIC KEY-----\n"
}
