//! Applications that speak HTTP: `POST <path>`, with the event as it came.

use ::http::StatusCode;
use bytes::Bytes;
use tokio::time::Instant;
use trilby_proto::common::v1::http_extension::Verb;
use trilby_pubsub::answer;

use super::{Delivered, headers_of, span_of, unreached};
use crate::blocks::invoke::headers::Origin;
use crate::blocks::invoke::{Call, CallError};
use crate::blocks::subscriptions::Parts;
use crate::blocks::subscriptions::consumer::Routed;
use crate::channel::HttpChannel;
use crate::payload::Payload;

pub(super) async fn deliver(channel: &HttpChannel, parts: &Parts, routed: &Routed) -> Delivered {
    let start = Instant::now();
    let topic = &routed.message.topic;
    let mut headers = headers_of(&routed.message.metadata);
    let span = span_of(&parts.tracing, &routed.event, topic, &mut headers);
    let body = routed.event.http_body();
    let content_type = routed.event.http_content_type();
    let call = call(&routed.path, &content_type, (headers, body));
    match send(channel, call, parts.max_body).await {
        Ok((status, body)) => {
            if let Some(note) = span.note()
                && !status.is_success()
            {
                let text = status.canonical_reason().unwrap_or("Unknown");
                note.fail(format!("Code({}): {text}", status.as_u16()));
            }
            Delivered {
                verdict: answer::of_http(status.as_u16(), &body),
                code: (!status.is_success()).then(|| i32::from(status.as_u16())),
                start,
            }
        }
        Err(error) => unreached(
            start,
            format!(
                "error returned from app channel while sending pub/sub event to app: {}",
                error.message
            ),
        ),
    }
}

/// The request to a path of the application.
pub(super) fn call(
    path: &str,
    content_type: &str,
    (headers, body): (::http::HeaderMap, Bytes),
) -> Call {
    Call {
        method: path.trim_start_matches('/').to_owned(),
        verb: Verb::Post,
        query: String::new(),
        content_type: content_type.to_owned(),
        type_url: String::new(),
        headers,
        origin: Origin::Http,
        body: Payload::Bytes(body),
    }
}

/// Sends, and reads the whole answer.
pub(in crate::blocks::subscriptions) async fn send(
    channel: &HttpChannel,
    call: Call,
    max_body: usize,
) -> Result<(StatusCode, Bytes), CallError> {
    let answer = channel.invoke(call).await?;
    let status = answer.outcome.http();
    let body = answer.body.collect(max_body).await;
    let body = body.map_err(|error| CallError::unknown(error.to_string()))?;
    Ok((status, body))
}
