//! Several messages of one path at once.

use std::collections::HashMap;

use ::http::HeaderMap;
use tokio::time::Instant;
use tonic::{Code, Status};
use trilby_components::RequestMetadata;
use trilby_proto::runtime::v1::app_callback_alpha_client::AppCallbackAlphaClient;
use trilby_proto::runtime::v1::app_callback_client::AppCallbackClient;
use trilby_proto::runtime::v1::topic_event_bulk_request_entry::Event;
use trilby_proto::runtime::v1::{
    TopicEventBulkRequest, TopicEventBulkRequestEntry, TopicEventBulkResponse, TopicEventCeRequest,
};
use trilby_pubsub::BULK_TYPE;
use trilby_pubsub::answer::{self, Verdict};
use trilby_pubsub::event::{BulkItem, EventError, bulk_body};
use trilby_pubsub::subscription::Subscription;
use trilby_telemetry::Span;

use super::grpc::{failure, note};
use super::http::{call, send};
use super::{Delivered, Receiver, span_of, unreached};
use crate::blocks::subscriptions::Parts;
use crate::blocks::subscriptions::consumer::Routed;
use crate::channel::{AppChannel, GrpcChannel, HttpChannel};

/// What metrics call a delivery.
const ON_BULK: &str = "/dapr.proto.runtime.v1.AppCallback/OnBulkTopicEvent";
const ON_BULK_ALPHA: &str = "/dapr.proto.runtime.v1.AppCallbackAlpha/OnBulkTopicEventAlpha1";

/// A batch with a name for each of its messages.
struct Batch<'a> {
    subscription: &'a Subscription,
    routed: &'a [&'a Routed],
    ids: Vec<String>,
}

pub(super) async fn deliver(
    receiver: &Receiver,
    parts: &Parts,
    (subscription, routed): (&Subscription, &[&Routed]),
) -> (Vec<Verdict>, Delivered) {
    let batch = Batch {
        subscription,
        routed,
        ids: routed
            .iter()
            .map(|_| uuid::Uuid::new_v4().to_string())
            .collect(),
    };
    let mut headers = HeaderMap::new();
    let spans: Vec<Span> = routed
        .iter()
        .map(|one| span_of(&parts.tracing, &one.event, &one.message.topic, &mut headers))
        .collect();
    match receiver {
        Receiver::App(AppChannel::Http(channel)) => batch.over_http(channel, parts, headers).await,
        Receiver::App(AppChannel::Grpc(channel)) => {
            batch.over_grpc(channel, (&spans, headers)).await
        }
        // Streams have no batches: the API has no way to ask for them.
        Receiver::Stream(_) => {
            let nobody = unreached(Instant::now(), "a stream takes one message at a time");
            (vec![nobody.verdict.clone(); routed.len()], nobody)
        }
    }
}

impl Batch<'_> {
    fn ids(&self) -> Vec<&str> {
        self.ids.iter().map(String::as_str).collect()
    }

    fn place(&self) -> (&str, &str) {
        let topic = self.routed.first().map_or("", |one| &one.message.topic);
        (&self.subscription.pubsub, topic)
    }

    fn path(&self) -> &str {
        self.routed.first().map_or("", |one| &one.path)
    }

    /// All of them have the same reason to come again.
    fn failed(&self, failed: Delivered) -> (Vec<Verdict>, Delivered) {
        (vec![failed.verdict.clone(); self.routed.len()], failed)
    }

    async fn over_http(
        &self,
        channel: &HttpChannel,
        parts: &Parts,
        headers: HeaderMap,
    ) -> (Vec<Verdict>, Delivered) {
        let start = Instant::now();
        let items: Vec<BulkItem<'_>> = self
            .routed
            .iter()
            .zip(&self.ids)
            .map(|(one, id)| BulkItem {
                entry_id: id,
                event: &one.event,
                content_type: one.message.content_type.as_deref().unwrap_or_default(),
                metadata: &one.message.metadata,
            })
            .collect();
        let id = uuid::Uuid::new_v4().to_string();
        let body = bulk_body(&id, self.place(), &self.metadata(), &items);
        let call = call(self.path(), "application/json", (headers, body));
        match send(channel, call, parts.max_body).await {
            Ok((status, body)) => {
                let verdicts = answer::bulk_of_http(status.as_u16(), &body, &self.ids());
                let code = (!status.is_success()).then(|| i32::from(status.as_u16()));
                let verdict = worst(&verdicts);
                let delivered = Delivered {
                    verdict,
                    code,
                    start,
                };
                (verdicts, delivered)
            }
            Err(error) => self.failed(unreached(
                start,
                format!(
                    "error from app channel while sending pub/sub event to app: {}",
                    error.message
                ),
            )),
        }
    }

    async fn over_grpc(
        &self,
        channel: &GrpcChannel,
        (spans, headers): (&[Span], HeaderMap),
    ) -> (Vec<Verdict>, Delivered) {
        let start = Instant::now();
        let request = match self.request() {
            Ok(request) => request,
            Err(error) => return self.failed(unreached(start, error.to_string())),
        };
        let answered = call_back(channel, headers, request).await;
        for span in spans {
            note(span, answered.as_ref().err());
        }
        let (verdicts, code) = match &answered {
            Ok(answer) => {
                let statuses = answer.statuses.iter();
                let statuses: Vec<(&str, i32)> = statuses
                    .map(|entry| (entry.entry_id.as_str(), entry.status))
                    .collect();
                (answer::bulk_of_grpc(Ok(&statuses), &self.ids()), None)
            }
            Err(status) => (
                answer::bulk_of_grpc(Err(failure(status)), &self.ids()),
                Some(i32::from(status.code())),
            ),
        };
        let verdict = worst(&verdicts);
        let delivered = Delivered {
            verdict,
            code,
            start,
        };
        (verdicts, delivered)
    }

    fn request(&self) -> Result<TopicEventBulkRequest, EventError> {
        let (pubsub, topic) = self.place();
        let entries = self.routed.iter().zip(&self.ids);
        let entries: Result<Vec<_>, EventError> = entries
            .map(|(one, id)| {
                Ok(TopicEventBulkRequestEntry {
                    entry_id: id.clone(),
                    content_type: one.message.content_type.clone().unwrap_or_default(),
                    metadata: as_map(&one.message.metadata),
                    event: Some(match self.subscription.raw {
                        true => Event::Bytes(one.message.data.clone()),
                        false => Event::CloudEvent(cloud_event(one)?),
                    }),
                })
            })
            .collect();
        Ok(TopicEventBulkRequest {
            id: uuid::Uuid::new_v4().to_string(),
            entries: entries?,
            metadata: as_map(&self.metadata()),
            topic: topic.to_owned(),
            pubsub_name: pubsub.to_owned(),
            r#type: BULK_TYPE.to_owned(),
            path: self.path().to_owned(),
        })
    }

    fn metadata(&self) -> RequestMetadata {
        let (pubsub, _) = self.place();
        [("pubsubName".to_owned(), pubsub.to_owned())].into()
    }
}

/// Applications of former times know the method under its former name only.
#[expect(deprecated, reason = "applications may still have it")]
async fn call_back(
    channel: &GrpcChannel,
    headers: HeaderMap,
    request: TopicEventBulkRequest,
) -> Result<TopicEventBulkResponse, Status> {
    let limit = channel.max_message();
    let first = (headers.clone(), request.clone());
    let answered = channel
        .call_back(ON_BULK, first, async |connection, request| {
            AppCallbackClient::new(connection)
                .max_decoding_message_size(limit)
                .max_encoding_message_size(limit)
                .on_bulk_topic_event(request)
                .await
        })
        .await;
    match answered {
        Err(status) if status.code() == Code::Unimplemented => {
            let call = async |connection, request| {
                AppCallbackAlphaClient::new(connection)
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(limit)
                    .on_bulk_topic_event_alpha1(request)
                    .await
            };
            channel
                .call_back(ON_BULK_ALPHA, (headers, request), call)
                .await
        }
        answered => answered,
    }
}

fn cloud_event(one: &Routed) -> Result<TopicEventCeRequest, EventError> {
    let event = &one.event;
    Ok(TopicEventCeRequest {
        id: event.id(),
        source: event.source(),
        r#type: event.event_type(),
        spec_version: event.spec_version(),
        data_content_type: event.data_content_type(),
        data: event.data()?,
        extensions: Some(event.extensions()),
    })
}

/// What the policy sees of a batch: it comes again while any of it has to.
fn worst(verdicts: &[Verdict]) -> Verdict {
    let again = verdicts
        .iter()
        .find(|verdict| matches!(verdict, Verdict::Retry(_)));
    again.cloned().unwrap_or(Verdict::Success)
}

fn as_map(metadata: &RequestMetadata) -> HashMap<String, String> {
    metadata
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
