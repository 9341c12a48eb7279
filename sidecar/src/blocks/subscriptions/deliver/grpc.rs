//! Applications that speak gRPC: `OnTopicEvent`.

use tokio::time::Instant;
use tonic::{Code, Status};
use trilby_proto::runtime::v1::TopicEventRequest;
use trilby_proto::runtime::v1::app_callback_client::AppCallbackClient;
use trilby_pubsub::answer::{self, GrpcFailure};
use trilby_pubsub::event::EventError;
use trilby_pubsub::subscription::Subscription;
use trilby_telemetry::Span;

use super::{Delivered, headers_of, span_of, unreached};
use crate::blocks::subscriptions::Parts;
use crate::blocks::subscriptions::consumer::Routed;
use crate::channel::GrpcChannel;
use crate::error::metric_name;

/// What metrics call a delivery.
const ON_TOPIC_EVENT: &str = "/dapr.proto.runtime.v1.AppCallback/OnTopicEvent";

pub(super) async fn deliver(
    channel: &GrpcChannel,
    parts: &Parts,
    (subscription, routed): (&Subscription, &Routed),
) -> Delivered {
    let start = Instant::now();
    let topic = &routed.message.topic;
    let event = match event(subscription, routed) {
        Ok(event) => event,
        Err(error) => return unreached(start, error.to_string()),
    };
    let mut headers = headers_of(&routed.message.metadata);
    let span = span_of(&parts.tracing, &routed.event, topic, &mut headers);
    let limit = channel.max_message();
    let answered = channel
        .call_back(
            ON_TOPIC_EVENT,
            (headers, event),
            async |connection, event| {
                AppCallbackClient::new(connection)
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(limit)
                    .on_topic_event(event)
                    .await
            },
        )
        .await;
    note(&span, answered.as_ref().err());
    match answered {
        Ok(answer) => Delivered {
            verdict: answer::of_grpc(Ok(answer.status)),
            code: None,
            start,
        },
        Err(status) => Delivered {
            verdict: answer::of_grpc(Err(failure(&status))),
            code: Some(i32::from(status.code())),
            start,
        },
    }
}

/// A message as gRPC tells it.
pub(in crate::blocks::subscriptions) fn event(
    subscription: &Subscription,
    routed: &Routed,
) -> Result<TopicEventRequest, EventError> {
    let event = &routed.event;
    Ok(TopicEventRequest {
        id: event.id(),
        source: event.source(),
        r#type: event.event_type(),
        spec_version: event.spec_version(),
        data_content_type: event.data_content_type(),
        data: event.data()?,
        topic: routed.message.topic.clone(),
        pubsub_name: subscription.pubsub.clone(),
        path: routed.path.clone(),
        extensions: Some(event.extensions()),
    })
}

pub(super) fn failure(status: &Status) -> GrpcFailure<'_> {
    GrpcFailure {
        code: status.code().into(),
        message: status.message(),
    }
}

pub(super) fn note(span: &Span, failure: Option<&Status>) {
    let code = failure.map_or(Code::Ok, Status::code);
    if let (Some(note), Some(status)) = (span.note(), failure) {
        note.fail(format!("{}: {}", metric_name(code), status.message()));
    }
}
