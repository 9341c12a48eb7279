//! A message as an event: what routes look at and apps get.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use trilby_components::RequestMetadata;

use crate::{content_type, json};

mod delivery;
mod extensions;
mod incoming;

pub use delivery::{BulkItem, bulk_body};

/// Fields that a gRPC request has a place of its own for: the others are extensions.
const NO_EXTENSIONS: [&str; 7] = [
    "id",
    "source",
    "datacontenttype",
    "type",
    "specversion",
    "data",
    "data_base64",
];

/// Why a message is no event, or its data cannot be had. The same message will never do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It is no JSON object.
    #[error("the message is no CloudEvent: {0}")]
    NoCloudEvent(String),
    /// `data_base64` is no base64.
    #[error("data_base64 of the event: {0}")]
    Base64(String),
}

/// How the message was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// An event in JSON.
    Structured,
    /// Data, with the attributes in the message's metadata.
    Binary,
    /// Data that nothing is known of.
    Raw,
}

/// An event as it came. Its fields are not read before somebody asks.
#[derive(Debug, Clone)]
pub struct Event {
    mode: Mode,
    /// Every field but the data of binary and raw messages, as JSON.
    fields: BTreeMap<String, Bytes>,
    /// The message's bytes.
    message: Bytes,
}

// === impl Event ===

impl Event {
    /// A field that is a text; empty where it is another value or missing.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let field = self.field(name);
        field.and_then(json::text_of).unwrap_or_default()
    }

    /// The JSON of a field.
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(as_text)
    }

    /// `id`; empty if there is none.
    #[must_use]
    pub fn id(&self) -> String {
        self.text("id")
    }

    /// `source`; empty if there is none.
    #[must_use]
    pub fn source(&self) -> String {
        self.text("source")
    }

    /// `type`; empty if there is none.
    #[must_use]
    pub fn event_type(&self) -> String {
        self.text("type")
    }

    /// `specversion`; empty if there is none.
    #[must_use]
    pub fn spec_version(&self) -> String {
        self.text("specversion")
    }

    /// `datacontenttype`; empty if there is none.
    #[must_use]
    pub fn data_content_type(&self) -> String {
        self.text("datacontenttype")
    }

    /// The W3C trace parent; empty if there is none.
    #[must_use]
    pub fn trace_parent(&self) -> String {
        let said = |name| self.field(name).filter(|json| *json != "null");
        let field = said("traceparent").or_else(|| said("traceid"));
        field.and_then(json::text_of).unwrap_or_default()
    }

    /// The W3C trace state; empty if there is none.
    #[must_use]
    pub fn trace_state(&self) -> String {
        self.text("tracestate")
    }

    /// Whether its `expiration` has passed. One that is no time says nothing.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        if !self.fields.contains_key("expiration") {
            return false;
        }
        let expiration = self.text("expiration").parse::<Timestamp>();
        expiration.is_ok_and(|expiration| expiration < now)
    }

    /// The data as gRPC apps get it: JSON by its text if the content type is JSON's; otherwise what a text says, and any
    /// other value by its JSON, whatever the content type.
    ///
    /// # Errors
    /// `data_base64` cannot be decoded.
    pub fn data(&self) -> Result<Bytes, EventError> {
        if self.mode != Mode::Structured {
            return Ok(self.message.clone());
        }
        let said = |name: &str| self.fields.get(name).filter(|json| &***json != b"null");
        if let Some(encoded) = said("data_base64") {
            let text = json::text_of(as_text(encoded));
            let text = text.ok_or_else(|| EventError::Base64("is not a string".to_owned()))?;
            let data = STANDARD.decode(text);
            return data
                .map(Bytes::from)
                .map_err(|error| EventError::Base64(error.to_string()));
        }
        let content_type = self.data_content_type();
        if content_type::is_json(&content_type) || content_type::is_cloud_event(&content_type) {
            return Ok(self.fields.get("data").cloned().unwrap_or_default());
        }
        let data = said("data").cloned().unwrap_or_default();
        Ok(json::text_of(as_text(&data)).map_or_else(|| data.clone(), Bytes::from))
    }

    /// Every field that a gRPC request has no other place for.
    #[must_use]
    pub fn extensions(&self) -> prost_types::Struct {
        let fields = self.fields.iter();
        let extensions = fields.filter(|(name, _)| !NO_EXTENSIONS.contains(&name.as_str()));
        extensions::of(extensions.map(|(name, json)| (name.clone(), as_text(json))))
    }

    /// What HTTP apps get: the message as it came; of raw data an event about it.
    #[must_use]
    pub fn http_body(&self) -> Bytes {
        match self.mode {
            Mode::Raw => self.whole(),
            Mode::Structured | Mode::Binary => self.message.clone(),
        }
    }

    /// The content type of [`Event::http_body`].
    #[must_use]
    pub fn http_content_type(&self) -> String {
        match self.mode {
            Mode::Binary => self.data_content_type(),
            Mode::Structured | Mode::Raw => content_type::CLOUD_EVENT.to_owned(),
        }
    }

    /// The event as JSON in a delivery of several: raw data as a text of base64.
    #[must_use]
    pub fn bulk_item(&self) -> Bytes {
        match self.mode {
            Mode::Raw => quoted(&STANDARD.encode(&self.message)),
            Mode::Binary => self.whole(),
            Mode::Structured if std::str::from_utf8(&self.message).is_ok() => self.message.clone(),
            Mode::Structured => self.whole(),
        }
    }

    /// The whole event in JSON.
    fn whole(&self) -> Bytes {
        let names: Vec<&str> = self.names().collect();
        let mut text = vec![b'{'];
        for name in names {
            let Some(value) = self.json(name) else {
                continue;
            };
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(&quoted(name));
            text.push(b':');
            text.extend_from_slice(&value);
        }
        text.push(b'}');
        text.into()
    }

    /// The names of all fields, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let fields = self.fields.keys().map(String::as_str);
        let data = (self.mode != Mode::Structured).then_some("data_base64");
        fields.chain(data)
    }

    /// A field as JSON.
    pub(crate) fn json(&self, name: &str) -> Option<Bytes> {
        if name == "data_base64" && self.mode != Mode::Structured {
            return Some(quoted(&STANDARD.encode(&self.message)));
        }
        self.fields.get(name).cloned()
    }

    /// The data of a message in binary mode, which rules know as bytes.
    pub(crate) fn binary_data(&self) -> Option<&Bytes> {
        (self.mode == Mode::Binary).then_some(&self.message)
    }
}

/// JSON of a text.
fn quoted(text: &str) -> Bytes {
    serde_json::to_vec(text)
        .expect("a text can be written")
        .into()
}

fn as_text(json: &Bytes) -> &str {
    std::str::from_utf8(json).expect("JSON was read as text")
}

#[cfg(test)]
mod tests;
