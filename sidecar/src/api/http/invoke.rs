//! Service invocation over HTTP.

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Body as _;
use http_body_util::Limited;
use tonic::Code;

use super::HttpApi;
use super::respond::{HttpResponse, data, failed};
use super::spans::describe_invocation;
use super::target::{self, Found};
use crate::blocks::invoke::headers::Origin;
use crate::blocks::invoke::{Answer, Call, CallError, InvokeError, Outcome, verb_of};
use crate::error::{ApiError, http_status_of};
use crate::payload::{CollectError, Payload, collect};

/// Invokes whatever application the request names.
pub(super) async fn serve(api: &HttpApi, request: Request<Body>) -> HttpResponse {
    let (mut head, body) = request.into_parts();
    let Some(found) = target::find(head.uri.path(), &mut head.headers) else {
        return failed(&no_target());
    };
    describe_invocation(&head.extensions, &found);
    let Found { target, method } = found;
    let body = match take(body, &head.headers, api.max_body).await {
        Ok(body) => body,
        Err(error) => {
            return failed(&not_invoked(
                &target,
                &CallError::unknown(error.to_string()).into(),
            ));
        }
    };
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let call = Call {
        method,
        verb: verb_of(&head.method),
        query: head.uri.query().unwrap_or_default().to_owned(),
        content_type: content_type.unwrap_or_default().to_owned(),
        type_url: String::new(),
        headers: forwarded(head.headers),
        origin: Origin::Http,
        body,
    };
    match api.blocks.invoke.invoke(&target, call).await {
        Ok(answer) => respond(answer),
        Err(error) => failed(&not_invoked(&target, &error)),
    }
}

/// Nothing names an application.
pub(super) fn no_target() -> ApiError {
    let message = "failed getting app id either from the URL path or the header dapr-app-id";
    ApiError::new(
        "ERR_DIRECT_INVOKE",
        StatusCode::NOT_FOUND,
        Code::NotFound,
        message,
    )
}

fn not_invoked(target: &str, error: &InvokeError) -> ApiError {
    let http = match error.code() {
        Code::PermissionDenied => http_status_of(Code::PermissionDenied),
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let message = format!("failed to invoke, id: {target}, err: {error}");
    ApiError::new("ERR_DIRECT_INVOKE", http, Code::Internal, message)
}

/// The largest body that is taken into memory, in bytes: what `--max-body-size` allows unless it is given.
const KEPT: u64 = 4 << 20;

/// A body whose length is known is taken into memory, so that it can be sent again; one of unknown length, or longer
/// than [`KEPT`], is passed on as it arrives.
async fn take(body: Body, headers: &HeaderMap, limit: usize) -> Result<Payload, CollectError> {
    if body.is_end_stream() {
        return Ok(Payload::empty());
    }
    let length = body.size_hint().lower();
    if length > limit as u64 {
        return Err(CollectError::TooLarge { limit });
    }
    if headers.contains_key(CONTENT_LENGTH) && length <= KEPT {
        return Ok(Payload::Bytes(collect(body, limit).await?));
    }
    Ok(Payload::Stream(Body::new(Limited::new(body, limit))))
}

/// The length travels with the body, the host is that of this sidecar.
fn forwarded(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(CONTENT_LENGTH);
    headers.remove(HOST);
    headers
}

fn respond(answer: Answer) -> HttpResponse {
    let status = answer.outcome.http();
    let mut response = match &answer.outcome {
        Outcome::Grpc {
            code,
            message,
            details,
        } if *code != Code::Ok => data(status, status_json(*code, message, details)),
        _ => {
            let mut response = HttpResponse::new(answer.body.into_body());
            *response.status_mut() = status;
            response
        }
    };
    let content_type = HeaderValue::from_str(&answer.content_type)
        .ok()
        .filter(|value| !value.is_empty());
    let own_type = response.headers_mut().remove(CONTENT_TYPE);
    *response.headers_mut() = answer.headers;
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().remove(CONTENT_TYPE);
    if let Some(value) = content_type.or(own_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// The status of a gRPC application as JSON, the way protobuf writes it.
fn status_json(code: Code, message: &str, details: &[prost_types::Any]) -> Vec<u8> {
    let mut status = serde_json::Map::new();
    status.insert("code".to_owned(), (code as i32).into());
    if !message.is_empty() {
        status.insert("message".to_owned(), message.into());
    }
    if !details.is_empty() {
        // Without the types of foreign details, their content stays what it is: bytes.
        use base64::Engine as _;
        let encode = |any: &prost_types::Any| {
            let value = base64::engine::general_purpose::STANDARD.encode(&any.value);
            serde_json::json!({ "@type": any.type_url, "value": value })
        };
        status.insert("details".to_owned(), details.iter().map(encode).collect());
    }
    serde_json::Value::Object(status).to_string().into_bytes()
}
