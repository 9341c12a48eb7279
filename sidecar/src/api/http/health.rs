//! Health over HTTP. Needs no token and obeys no rules.

use axum::body::Body;
use http::{Request, StatusCode};
use tonic::Code;

use super::HttpApi;
use super::escape::QueryString;
use super::respond::{HttpResponse, empty, failed};
use crate::error::ApiError;

/// Whether the sidecar is ready, or whether it belongs to the application that `appid` names.
pub(super) fn health(api: &HttpApi, request: &Request<Body>) -> HttpResponse {
    if let Some(asked) = QueryString::new(request.uri().query()).get("appid") {
        return if asked == api.blocks.invoke.app_id.as_str() {
            empty()
        } else {
            unhealthy("ERR_HEALTH_APPID_NOT_MATCH", "dapr app-id does not match")
        };
    }
    match api.health.missing() {
        missing if missing.is_empty() => empty(),
        missing => unhealthy(
            "ERR_HEALTH_NOT_READY",
            format!("dapr is not ready: [{}]", missing.join(" ")),
        ),
    }
}

/// Whether calls to others can be made, which is before the application is up.
pub(super) fn outbound(api: &HttpApi) -> HttpResponse {
    if api.health.outbound_ready() {
        return empty();
    }
    unhealthy(
        "ERR_OUTBOUND_HEALTH_NOT_READY",
        "dapr outbound is not ready",
    )
}

fn unhealthy(code: &'static str, message: impl Into<String>) -> HttpResponse {
    failed(&ApiError::new(
        code,
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unavailable,
        message,
    ))
}
