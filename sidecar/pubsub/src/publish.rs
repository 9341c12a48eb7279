//! What a publication becomes before a broker gets it.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use trilby_components::RequestMetadata;

use crate::{
    DEFAULT_SOURCE, DEFAULT_TYPE, SPEC_VERSION, content_type,
    json::{self, Members},
};

mod given;
mod ttl;

/// What an app publishes.
#[derive(Debug, Clone)]
pub struct Publication<'a> {
    /// The id of the app, `source` of its events.
    pub source: &'a str,
    /// The name of the component.
    pub pubsub: &'a str,
    /// The topic as the app knows it.
    pub topic: &'a str,
    /// What is published.
    pub data: Bytes,
    /// The content type of `data`; empty where the app gives none.
    pub content_type: &'a str,
    /// Metadata of the request; in a bulk publication with the entry's over it.
    pub metadata: &'a RequestMetadata,
    /// `data` goes through as it is ([`crate::is_raw`] of the request's metadata).
    pub raw: bool,
    /// The W3C trace parent; empty without one.
    pub trace_parent: &'a str,
    /// The W3C trace state; empty without one.
    pub trace_state: &'a str,
    /// Whether the broker expires messages itself.
    pub broker_expires: bool,
    /// The time of the publication.
    pub now: Timestamp,
}

/// Why a publication cannot be made an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The content type says CloudEvent, and it is none.
    #[error("the data is no CloudEvent: {0}")]
    NoCloudEvent(String),
    /// The time to live cannot be used.
    #[error("metadata {name}: {reason}, but is {value:?}")]
    Ttl {
        /// The metadata's name.
        name: String,
        /// Its value.
        value: String,
        /// What it must be.
        reason: &'static str,
    },
}

/// What the broker gets: `data` itself if it is raw, otherwise a CloudEvent in JSON.
///
/// Data that is not text travels in `data_base64`, whatever content type says of it.
///
/// # Errors
/// See [`EnvelopeError`].
pub fn envelope(publication: &Publication<'_>) -> Result<Bytes, EnvelopeError> {
    if publication.raw {
        return Ok(publication.data.clone());
    }
    let expiration = expiration(publication)?;
    if content_type::is_cloud_event(publication.content_type) {
        return given::completed(publication, expiration);
    }
    Ok(written(&wrapped(publication, expiration)))
}

/// When the event expires, if the sidecar has to see to it.
fn expiration(publication: &Publication<'_>) -> Result<Option<Timestamp>, EnvelopeError> {
    if publication.broker_expires {
        return Ok(None);
    }
    let ttl = ttl::of(publication.metadata)?;
    // A time past the last one there is never comes.
    Ok(ttl.map(|ttl| publication.now.checked_add(ttl).unwrap_or(Timestamp::MAX)))
}

/// RFC 3339 in UTC, whole seconds.
fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An event of ours, its fields in their order by name.
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    datacontenttype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    id: Cow<'a, str>,
    pubsubname: &'a str,
    source: &'a str,
    specversion: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: String,
    topic: &'a str,
    traceid: &'a str,
    traceparent: &'a str,
    tracestate: &'a str,
    r#type: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

fn wrapped<'a>(publication: &'a Publication<'_>, expiration: Option<Timestamp>) -> Envelope<'a> {
    let set = |name| overriding(publication.metadata, name);
    let filled = |name| set(name).filter(|text: &&str| !text.is_empty());
    let trace_parent = filled("traceparent")
        .or_else(|| set("traceid"))
        .unwrap_or(publication.trace_parent);
    let source = set("source").unwrap_or(publication.source);
    let content_type = match publication.content_type {
        "" => "text/plain",
        given => given,
    };
    let (data, data_base64) = data(&publication.data, content_type);
    Envelope {
        data,
        data_base64,
        datacontenttype: content_type,
        expiration: expiration.map(rfc3339),
        id: filled("id").map_or_else(|| uuid::Uuid::new_v4().to_string().into(), Cow::from),
        pubsubname: publication.pubsub,
        source: Some(source)
            .filter(|text| !text.is_empty())
            .unwrap_or(DEFAULT_SOURCE),
        specversion: SPEC_VERSION,
        subject: filled("subject"),
        time: rfc3339(publication.now),
        topic: publication.topic,
        traceid: trace_parent,
        traceparent: trace_parent,
        tracestate: set("tracestate").unwrap_or(publication.trace_state),
        r#type: filled("type").unwrap_or(DEFAULT_TYPE),
    }
}

/// What metadata puts in the place of an attribute: `cloudevent.<name>`, in any case.
fn overriding<'a>(metadata: &'a RequestMetadata, name: &str) -> Option<&'a str> {
    const PREFIX: &str = "cloudevent.";
    let exact = metadata.get(&format!("{PREFIX}{name}"));
    let folded = || {
        let mut entries = metadata.iter();
        let found = entries.find(|(key, _)| {
            key.split_at_checked(PREFIX.len())
                .is_some_and(|(prefix, rest)| {
                    prefix.eq_ignore_ascii_case(PREFIX) && rest.eq_ignore_ascii_case(name)
                })
        });
        found.map(|(_, value)| value)
    };
    exact.or_else(folded).map(String::as_str)
}

/// `data` and `data_base64`, of which one is there.
fn data<'a>(data: &'a [u8], content_type: &str) -> (Option<Data<'a>>, Option<String>) {
    let opaque = content_type::is_binary(content_type) || content_type::is_protobuf(content_type);
    let text = std::str::from_utf8(data).ok().filter(|_| !opaque);
    let Some(text) = text else {
        return (None, Some(STANDARD.encode(data)));
    };
    if content_type::is_json(content_type)
        && let Ok(raw) = serde_json::from_str::<&RawValue>(text)
        && json::flaw(text, json::MAX_DEPTH - 1).is_none()
    {
        return (Some(Data::Json(raw)), None);
    }
    (Some(Data::Text(text)), None)
}

fn written<T: Serialize>(event: &T) -> Bytes {
    serde_json::to_vec(event)
        .expect("texts and checked JSON can be written")
        .into()
}

#[cfg(test)]
mod tests;
