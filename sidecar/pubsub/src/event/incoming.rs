//! What messages say that they are.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use trilby_components::{RequestMetadata, pubsub::Message};

use super::{Event, EventError, Mode, quoted};
use crate::{DEFAULT_SOURCE, DEFAULT_TYPE, SPEC_VERSION, content_type, json};

impl Event {
    /// The event of `message`; `raw` where its subscription takes raw data. `pubsub` and `topic` are the names that apps know.
    ///
    /// # Errors
    /// The message says that it is an event, and is none.
    pub fn of(
        message: &Message,
        raw: bool,
        (pubsub, topic): (&str, &str),
    ) -> Result<Self, EventError> {
        if raw {
            return Ok(Self::raw(message, pubsub, topic));
        }
        let stated = message.content_type.as_deref();
        let stated = stated.or_else(|| message.metadata.get("content-type").map(String::as_str));
        match stated {
            Some(stated) if content_type::is_binary(stated) => Ok(Self::binary(message, stated)),
            _ => Self::structured(message),
        }
    }

    fn raw(message: &Message, pubsub: &str, topic: &str) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        let mut event = Self {
            mode: Mode::Raw,
            fields: [
                ("id", &*id),
                ("specversion", SPEC_VERSION),
                ("datacontenttype", content_type::BINARY),
                ("source", DEFAULT_SOURCE),
                ("type", DEFAULT_TYPE),
                ("topic", topic),
                ("pubsubname", pubsub),
            ]
            .map(|(name, value)| (name.to_owned(), quoted(value)))
            .into(),
            message: message.data.clone(),
        };
        event.trace_from(&message.metadata);
        event
    }

    fn binary(message: &Message, content_type: &str) -> Self {
        let attributes = message.metadata.iter().filter_map(|(key, value)| {
            let (prefix, name) = key.split_at_checked(3)?;
            let found = prefix.eq_ignore_ascii_case("ce_");
            found.then(|| (name.to_ascii_lowercase(), quoted(value)))
        });
        let mut fields: BTreeMap<String, Bytes> = attributes.collect();
        fields.remove("data");
        fields.remove("data_base64");
        fields.insert("datacontenttype".to_owned(), quoted(content_type));
        Self {
            mode: Mode::Binary,
            fields,
            message: message.data.clone(),
        }
    }

    fn structured(message: &Message) -> Result<Self, EventError> {
        let no_event = |reason: String| EventError::NoCloudEvent(reason);
        let readable = match json::lossy(&message.data) {
            Cow::Borrowed(_) => message.data.clone(),
            Cow::Owned(replaced) => replaced.into(),
        };
        let members: BTreeMap<json::Text, &serde_json::value::RawValue> =
            serde_json::from_slice(&readable).map_err(|error| no_event(error.to_string()))?;
        if let Some(flaw) = json::flaw(&json::lossy(&readable), json::MAX_DEPTH) {
            return Err(no_event(flaw));
        }
        let fields = members.into_iter();
        let fields = fields.map(|(name, raw)| (name.0, readable.slice_ref(raw.get().as_bytes())));
        let mut event = Self {
            mode: Mode::Structured,
            fields: fields.collect(),
            message: message.data.clone(),
        };
        event.trace_from(&message.metadata);
        Ok(event)
    }

    /// What a broker's metadata says of the trace, where the event itself says nothing.
    fn trace_from(&mut self, metadata: &RequestMetadata) {
        for name in ["traceid", "traceparent", "tracestate"] {
            let Some(value) = metadata
                .get(name)
                .filter(|_| !self.fields.contains_key(name))
            else {
                continue;
            };
            self.fields.insert(name.to_owned(), quoted(value));
            if name == "traceparent" {
                self.fields.insert("traceid".to_owned(), quoted(value));
            }
        }
    }
}
