//! Cryptography over HTTP: documents as bodies.

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{LengthLimitError, Limited};
use tonic::Code;

use super::HttpApi;
use super::respond::{HttpResponse, failed};
use super::route::CryptoRoute;
use crate::blocks::crypto::{Document, EncryptOptions};
use crate::error::ApiError;

const KEY_NAME: &str = "dapr-key-name";
const KEY_WRAP_ALGORITHM: &str = "dapr-key-wrap-algorithm";
const OMIT_DECRYPTION_KEY_NAME: &str = "dapr-omit-decryption-key-name";
const DECRYPTION_KEY_NAME: &str = "dapr-decryption-key-name";
const DATA_ENCRYPTION_CIPHER: &str = "dapr-data-encryption-cipher";

pub(super) async fn serve(
    api: &HttpApi,
    (provider, route): (String, CryptoRoute),
    request: Request<Body>,
) -> HttpResponse {
    let answer = match route {
        CryptoRoute::Encrypt => encrypt(api, &provider, request).await,
        CryptoRoute::Decrypt => decrypt(api, &provider, request).await,
    };
    answer.unwrap_or_else(|error| failed(&error))
}

async fn encrypt(
    api: &HttpApi,
    provider: &str,
    request: Request<Body>,
) -> Result<HttpResponse, ApiError> {
    let (head, body) = request.into_parts();
    let crypto = &api.blocks.crypto;
    crypto.check(provider)?;
    let options = EncryptOptions {
        key: required(&head.headers, KEY_NAME)?,
        algorithm: required(&head.headers, KEY_WRAP_ALGORITHM)?,
        cipher: header(&head.headers, DATA_ENCRYPTION_CIPHER)?,
        decryption_key: header(&head.headers, DECRYPTION_KEY_NAME)?,
        omit_key: is_truthy(&header(&head.headers, OMIT_DECRYPTION_KEY_NAME)?),
    };
    let document = crypto.encrypt(provider, options, input(body, api.max_body));
    respond(document.await?).await
}

async fn decrypt(
    api: &HttpApi,
    provider: &str,
    request: Request<Body>,
) -> Result<HttpResponse, ApiError> {
    let (head, body) = request.into_parts();
    let crypto = &api.blocks.crypto;
    crypto.check(provider)?;
    let key = header(&head.headers, KEY_NAME)?;
    let document = crypto.decrypt(provider, &key, input(body, api.max_body));
    respond(document.await?).await
}

/// A body that ends with an error where it gets larger than allowed.
fn input(body: Body, limit: usize) -> impl Stream<Item = Result<Bytes, String>> + Send + Unpin {
    let limited = Body::new(Limited::new(body, limit));
    let chunks: BodyDataStream = limited.into_data_stream();
    chunks.map(|chunk| {
        chunk.map_err(|error| match is_too_large(&error) {
            true => "http: request body too large".to_owned(),
            false => error.to_string(),
        })
    })
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Holds the whole answer, which is hardly longer than the largest body: one that is not authentic at its end is answered
/// with a status, as upstream does it, and many clients read nothing before they have sent everything.
async fn respond<S>(mut document: Document<S>) -> Result<HttpResponse, ApiError>
where
    S: Stream<Item = Result<Bytes, String>> + Unpin,
{
    let mut answer = BytesMut::new();
    while let Some(piece) = document.next().await {
        answer.extend_from_slice(&piece.map_err(broken)?);
    }
    let mut response = Response::new(Body::from(answer.freeze()));
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, octets);
    Ok(response)
}

/// The document could not be read to its end.
fn broken(reason: String) -> ApiError {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    ApiError::new("ERROR", status, Code::Internal, reason)
}

fn required(headers: &HeaderMap, name: &str) -> Result<String, ApiError> {
    let value = header(headers, name)?;
    match value.is_empty() {
        true => Err(ApiError::bad_request(format!("missing header '{name}'"))),
        false => Ok(value),
    }
}

/// Empty for none.
fn header(headers: &HeaderMap, name: &str) -> Result<String, ApiError> {
    let value = headers.get(name).map_or(&[][..], HeaderValue::as_bytes);
    let text = std::str::from_utf8(value);
    let text = text.map_err(|_| ApiError::bad_request(format!("header '{name}' is not UTF-8")))?;
    Ok(text.to_owned())
}

fn is_truthy(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    matches!(text.as_str(), "y" | "yes" | "true" | "t" | "on" | "1")
}
