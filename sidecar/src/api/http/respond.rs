//! Responses of the HTTP API.

use std::borrow::Cow;

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::error::ApiError;

pub(super) type HttpResponse = Response<Body>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Nothing to say: 204.
pub(super) fn empty() -> HttpResponse {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Bytes as they are, of JSON's type as upstream has it.
pub(super) fn data(status: StatusCode, bytes: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Body::from(bytes.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(value) {
        Ok(bytes) => data(StatusCode::OK, bytes),
        Err(error) => {
            let message = format!("failed to encode response as JSON: {error}");
            let code = (
                "ERR_INTERNAL",
                StatusCode::INTERNAL_SERVER_ERROR,
                tonic::Code::Internal,
            );
            failed(&ApiError::new(code.0, code.1, code.2, message))
        }
    }
}

/// An error in the API's form.
pub(super) fn failed(error: &ApiError) -> HttpResponse {
    tracing::debug!(%error, "request failed");
    with_error_code(data(error.http(), error.body()), error)
}

/// Lets metrics see the error that a response of another form is about.
pub(super) fn with_error_code(mut response: HttpResponse, error: &ApiError) -> HttpResponse {
    let code = ErrorCode(error.owned_code());
    response.extensions_mut().insert(code);
    response
}

/// The code of an error, for metrics: an extension of the response.
#[derive(Debug, Clone)]
pub(super) struct ErrorCode(pub(super) Cow<'static, str>);

/// A text that is no error of the API's form.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> HttpResponse {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// Adds `metadata.<name>` headers. What a header cannot carry is left out.
pub(super) fn with_metadata<'a>(
    mut response: HttpResponse,
    metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> HttpResponse {
    for (name, value) in metadata {
        let name = HeaderName::try_from(format!("metadata.{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
