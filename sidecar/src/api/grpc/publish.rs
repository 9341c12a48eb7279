//! Publishing over gRPC.

use tonic::metadata::MetadataMap;
use tonic::{Request, Status};
use trilby_components::RequestMetadata;
use trilby_proto::runtime::v1::{BulkPublishRequest, BulkPublishResponse, PublishEventRequest};
use trilby_pubsub::bulk::merged;
use trilby_pubsub::is_raw;
use trilby_telemetry::{TRACEPARENT, TRACESTATE};

use crate::blocks::pubsub::{Entry, Payload, Place, PubSub, Trace, entry_id_invalid};

pub(super) async fn publish(
    pubsub: &PubSub,
    request: Request<PublishEventRequest>,
) -> Result<(), Status> {
    let (head, _, request) = request.into_parts();
    let place = Place {
        pubsub: &request.pubsub_name,
        topic: &request.topic,
    };
    let trace = trace_of(&head);
    let mut metadata: RequestMetadata = request.metadata.into_iter().collect();
    if matches!(is_raw(&metadata), Ok(true)) {
        // What has no envelope carries its span beside.
        metadata.insert("traceid".to_owned(), trace.parent.to_owned());
        metadata.insert("tracestate".to_owned(), trace.state.to_owned());
    }
    let payload = Payload {
        data: request.data,
        content_type: request.data_content_type,
        metadata,
    };
    Ok(pubsub.publish(place, payload, trace).await?)
}

pub(super) async fn bulk(
    pubsub: &PubSub,
    request: Request<BulkPublishRequest>,
) -> Result<BulkPublishResponse, Status> {
    let (head, _, request) = request.into_parts();
    let place = Place {
        pubsub: &request.pubsub_name,
        topic: &request.topic,
    };
    let metadata: RequestMetadata = request.metadata.into_iter().collect();
    pubsub.check(place, &metadata)?;
    let mut seen = std::collections::HashSet::new();
    let mut entries = Vec::with_capacity(request.entries.len());
    for entry in request.entries {
        if entry.entry_id.is_empty() || !seen.insert(entry.entry_id.clone()) {
            return Err(entry_id_invalid(place, pubsub.app_id()).status());
        }
        entries.push(Entry {
            id: entry.entry_id,
            payload: Payload {
                data: entry.event,
                content_type: entry.content_type,
                metadata: merged(&metadata, entry.metadata.into_iter().collect()),
            },
        });
    }
    let published = pubsub.publish_bulk(place, (entries, &metadata), trace_of(&head));
    match published.await {
        Ok(()) => Ok(BulkPublishResponse::default()),
        Err(failure) => Err(failure.error.status()),
    }
}

/// The span of a request, which tracing has written into its metadata.
fn trace_of(metadata: &MetadataMap) -> Trace<'_> {
    let text = |name: &str| {
        let value = metadata.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    Trace {
        parent: text(TRACEPARENT.as_str()),
        state: text(TRACESTATE.as_str()),
    }
}
