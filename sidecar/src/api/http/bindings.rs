//! Output bindings over HTTP.

use std::collections::BTreeMap;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use trilby_components::RequestMetadata;
use trilby_components::binding::{Invocation, Reply};
use trilby_telemetry::baggage::{BAGGAGE, Baggage};
use trilby_telemetry::{TRACEPARENT, TRACESTATE};

use super::HttpApi;
use super::any_case::AnyCase;
use super::respond::{HttpResponse, data, empty, failed, with_metadata};
use super::service::body_of;
use crate::blocks::state::compact_json;
use crate::error::ApiError;

/// What stands for data that is not said.
const NO_DATA: &[u8] = b"null";

/// The body of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    operation: Option<String>,
    data: Option<Box<RawValue>>,
    metadata: Option<BTreeMap<String, Option<String>>>,
}

pub(super) async fn invoke(api: &HttpApi, name: &str, request: Request<Body>) -> HttpResponse {
    let (head, body) = request.into_parts();
    let asked = match body_of(api, body).await {
        Ok(body) => invocation(&body),
        Err(error) => return failed(&ApiError::body_read(error)),
    };
    let traced = api.tracing.is_on();
    let context = context(&head.headers, traced);
    let (mut invocation, context) = match (asked, context) {
        (Ok(invocation), Ok(context)) => (invocation, context),
        (Err(error), _) | (_, Err(error)) => return failed(&error),
    };
    invocation.metadata.extend(context);
    match api.blocks.bindings.invoke(name, invocation).await {
        Ok(reply) => answer(reply),
        Err(refusal) => with_metadata(failed(&refusal.error), pairs(&refusal.metadata)),
    }
}

/// What a body asks for.
///
/// # Errors
/// It is no JSON object, or a field has a value that it cannot have.
pub fn invocation(body: &[u8]) -> Result<Invocation, ApiError> {
    let AnyCase(asked): AnyCase<Asked> =
        serde_json::from_slice(body).map_err(ApiError::malformed)?;
    let data = match asked.data {
        Some(data) => compact_json(data.get().as_bytes()).map_err(ApiError::malformed)?,
        None => Bytes::from_static(NO_DATA),
    };
    let metadata = asked.metadata.unwrap_or_default();
    Ok(Invocation {
        operation: asked.operation.unwrap_or_default(),
        data,
        metadata: metadata
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_default()))
            .collect(),
    })
}

/// What the headers say that the binding is told: baggage, and the request's place in a trace, which is in the headers
/// where requests are `traced`.
fn context(headers: &HeaderMap, traced: bool) -> Result<RequestMetadata, ApiError> {
    let mut context = RequestMetadata::new();
    let baggage =
        Baggage::of(headers).map_err(|error| ApiError::malformed_verbatim(error.to_string()))?;
    let parent = headers.get(TRACEPARENT).filter(|_| traced);
    let state = headers.get(TRACESTATE).filter(|_| parent.is_some());
    for (name, value) in [
        (BAGGAGE, baggage.as_ref().map(Baggage::text)),
        (TRACEPARENT, parent),
        (TRACESTATE, state),
    ] {
        if let Some(value) = value.and_then(|value| value.to_str().ok()) {
            context.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(context)
}

/// A component that says nothing at all is told from one that says nothing about data.
fn answer(reply: Reply) -> HttpResponse {
    let response = match reply.data {
        None if reply.metadata.is_empty() => empty(),
        bytes => data(StatusCode::OK, bytes.unwrap_or_default()),
    };
    with_metadata(response, pairs(&reply.metadata))
}

fn pairs(metadata: &RequestMetadata) -> impl Iterator<Item = (&str, &str)> {
    metadata
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};
    use trilby_components::binding::Reply;

    use super::{answer, context, invocation};

    #[test]
    fn data_keeps_its_numbers_and_the_quotes_of_texts() {
        let asked = invocation(br#"{"Operation":"create","data":{ "n" : 9007199254740993 }}"#);
        let asked = asked.unwrap();
        assert_eq!(asked.operation, "create");
        assert_eq!(asked.data, r#"{"n":9007199254740993}"#);
        let asked = invocation(br#"{"data":"text","metadata":{"Key":"a","b":null}}"#).unwrap();
        assert_eq!(asked.data, "\"text\"");
        assert_eq!(asked.metadata["Key"], "a");
        assert_eq!(asked.metadata["b"], "");
    }

    #[test]
    fn data_that_is_not_said_is_null() {
        for body in [&b"{}"[..], b"null", br#"{"data":null}"#] {
            assert_eq!(invocation(body).unwrap().data, "null");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for body in [&b""[..], b"[]", b"\"a\"", br#"{"metadata":{"a":1}}"#, b"{"] {
            let error = invocation(body).unwrap_err();
            assert_eq!(error.code(), "ERR_MALFORMED_REQUEST");
        }
    }

    #[test]
    fn the_binding_is_told_the_place_in_a_trace_that_is_one() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = HeaderMap::from_iter([
            (super::TRACEPARENT, HeaderValue::from_static(parent)),
            (super::BAGGAGE, HeaderValue::from_static("a=1,b=2")),
        ]);
        let told = context(&headers, true).unwrap();
        assert_eq!(told["traceparent"], parent);
        assert_eq!(told["baggage"], "a=1,b=2");
        assert!(
            !context(&headers, false)
                .unwrap()
                .contains_key("traceparent")
        );
        let wrong = HeaderMap::from_iter([(super::BAGGAGE, HeaderValue::from_static("=;"))]);
        assert!(context(&wrong, true).is_err());
    }

    #[test]
    fn only_a_component_that_says_nothing_is_answered_without_content() {
        assert_eq!(answer(Reply::default()).status(), StatusCode::NO_CONTENT);
        let told = Reply {
            metadata: [("statusCode".to_owned(), "200".to_owned())].into(),
            ..Reply::default()
        };
        let response = answer(told);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["metadata.statuscode"], "200");
    }
}
