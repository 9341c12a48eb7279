//! Publishing over HTTP.

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use serde::Serialize;
use trilby_components::RequestMetadata;
use trilby_pubsub::bulk::{BulkError, parse_entries};
use trilby_telemetry::{TRACEPARENT, TRACESTATE};

use super::HttpApi;
use super::respond::{HttpResponse, data, empty, failed, with_error_code, with_metadata};
use super::route::PublishRoute;
use super::service::{body_of, metadata_of};
use crate::blocks::pubsub::{
    BulkFailure, Entry, Payload, Place, Trace, entries_invalid, entry_id_invalid, entry_invalid,
};
use crate::error::ApiError;

/// What is answered when not everything was published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    failed_entries: Vec<FailedEntry<'a>>,
    error_code: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FailedEntry<'a> {
    entry_id: &'a str,
    error: &'a str,
}

pub(super) async fn serve(
    api: &HttpApi,
    route: PublishRoute,
    request: Request<Body>,
) -> HttpResponse {
    let metadata = metadata_of(&request);
    let place = Place {
        pubsub: &route.pubsub,
        topic: &route.topic,
    };
    if let Err(error) = api.blocks.pubsub.check(place, &metadata) {
        return failed(&error);
    }
    let (head, body) = request.into_parts();
    let body = match body_of(api, body).await {
        Ok(body) => body,
        Err(error) => return failed(&ApiError::body_read(error)),
    };
    let trace = trace_of(&head.headers);
    if route.bulk {
        return bulk(api, place, (body, metadata), trace).await;
    }
    let content_type = head.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let payload = Payload {
        data: body,
        content_type: content_type.unwrap_or_default().to_owned(),
        metadata,
    };
    match api.blocks.pubsub.publish(place, payload, trace).await {
        Ok(()) => empty(),
        Err(error) => failed(&error),
    }
}

async fn bulk(
    api: &HttpApi,
    place: Place<'_>,
    (body, metadata): (Bytes, RequestMetadata),
    trace: Trace<'_>,
) -> HttpResponse {
    let pubsub = &api.blocks.pubsub;
    let entries = match parse_entries(&body, &metadata) {
        Ok(entries) => entries,
        Err(error) => {
            let app_id = pubsub.app_id();
            return failed(&match error {
                why @ BulkError::Unreadable(_) => entries_invalid(place, app_id, why),
                BulkError::EntryId { .. } => entry_id_invalid(place, app_id),
                why @ BulkError::Event { .. } => entry_invalid(place, app_id, why),
            });
        }
    };
    let entries = entries.into_iter().map(|entry| Entry {
        id: entry.entry_id,
        payload: Payload {
            data: entry.data,
            content_type: entry.content_type,
            metadata: entry.metadata,
        },
    });
    let published = pubsub.publish_bulk(place, (entries.collect(), &metadata), trace);
    match published.await {
        Ok(()) => empty(),
        Err(BulkFailure { error, failed: ids }) if ids.is_empty() => failed(&error),
        Err(BulkFailure { error, failed }) => partly(&error, &failed),
    }
}

fn partly(error: &ApiError, failed: &[(String, String)]) -> HttpResponse {
    let body = Failed {
        failed_entries: failed
            .iter()
            .map(|(entry_id, error)| FailedEntry { entry_id, error })
            .collect(),
        error_code: error.code(),
    };
    // Text only: it cannot fail.
    let body = serde_json::to_string(&body).unwrap_or_default();
    let response = with_error_code(data(error.http(), body.clone()), error);
    let words = error.message();
    with_metadata(
        response,
        [("responseData", body.as_str()), ("error", words)],
    )
}

/// The span of a request, which tracing has written into its headers.
fn trace_of(headers: &HeaderMap) -> Trace<'_> {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    Trace {
        parent: text(TRACEPARENT.as_str()),
        state: text(TRACESTATE.as_str()),
    }
}
