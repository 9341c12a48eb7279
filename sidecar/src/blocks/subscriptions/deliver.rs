//! Bringing messages to whoever subscribed: the application, or a stream of the gRPC API.

mod bulk;
pub(super) mod grpc;
mod http;

pub(super) use http::send;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use trilby_components::RequestMetadata;
use trilby_pubsub::answer::Verdict;
use trilby_pubsub::event::Event;
use trilby_pubsub::subscription::Subscription;
use trilby_telemetry::{Kind, Span, TRACEPARENT, TRACESTATE, Tracing};

use super::Parts;
use super::consumer::Routed;
use super::stream::Sender;
use crate::blocks::invoke::headers::API_TOKEN;
use crate::channel::AppChannel;

/// Whom messages are for.
pub(super) enum Receiver {
    /// The application.
    App(AppChannel),
    /// A client of the gRPC API.
    Stream(Sender),
}

/// What became of a delivery.
pub(super) struct Delivered {
    /// What the receiver says.
    pub(super) verdict: Verdict,
    /// The status or code of a failure, for the policy.
    pub(super) code: Option<i32>,
    /// When it began.
    pub(super) start: Instant,
}

/// A failure before anybody answered.
fn unreached(start: Instant, reason: impl Into<String>) -> Delivered {
    Delivered {
        verdict: Verdict::Retry(reason.into()),
        code: None,
        start,
    }
}

impl Receiver {
    /// Brings one message.
    pub(super) async fn deliver(
        &self,
        parts: &Parts,
        subscription: &Subscription,
        routed: &Routed,
    ) -> Delivered {
        match self {
            Self::App(AppChannel::Http(channel)) => http::deliver(channel, parts, routed).await,
            Self::App(AppChannel::Grpc(channel)) => {
                grpc::deliver(channel, parts, (subscription, routed)).await
            }
            Self::Stream(sender) => sender.deliver(parts, (subscription, routed)).await,
        }
    }

    /// Brings several messages of one path; gives what became of each, in their order.
    pub(super) async fn deliver_all(
        &self,
        parts: &Parts,
        subscription: &Subscription,
        batch: &[&Routed],
    ) -> (Vec<Verdict>, Delivered) {
        bulk::deliver(self, parts, (subscription, batch)).await
    }
}

/// The headers of a delivery: what the message says beside, and the span.
fn headers_of(metadata: &RequestMetadata) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(metadata.len() + 2);
    for (name, value) in metadata {
        let name = HeaderName::try_from(name.as_str());
        let value = HeaderValue::try_from(value.as_str());
        // A publisher writes what it likes; what no header can carry, or what is the connection's, is left out.
        if let (Ok(name), Ok(value)) = (name, value)
            && !belongs_to_the_connection(&name)
        {
            headers.insert(name, value);
        }
    }
    headers
}

fn belongs_to_the_connection(name: &HeaderName) -> bool {
    const OURS: [HeaderName; 6] = [
        ::http::header::CONTENT_TYPE,
        ::http::header::CONTENT_LENGTH,
        ::http::header::TRANSFER_ENCODING,
        ::http::header::HOST,
        ::http::header::CONNECTION,
        ::http::header::UPGRADE,
    ];
    OURS.contains(name) || *name == API_TOKEN
}

/// The span of a delivery, below that of the publication; its place is written into `headers`.
fn span_of(tracing: &Tracing, event: &Event, topic: &str, headers: &mut HeaderMap) -> Span {
    let parent = HeaderValue::try_from(event.trace_parent());
    if let Ok(parent) = parent
        && !parent.is_empty()
    {
        headers.insert(TRACEPARENT, parent);
        let state = HeaderValue::try_from(event.trace_state());
        if let Ok(state) = state
            && !state.is_empty()
        {
            headers.insert(TRACESTATE, state);
        }
    }
    let span = tracing.start_http(headers, Kind::Client, || format!("pubsub/{topic}"));
    span.handle().to_http(headers);
    if let Some(note) = span.note() {
        note.set("messaging.system", "pubsub");
        note.set("messaging.destination", topic);
        note.set("messaging.destination_kind", "topic");
    }
    span
}
