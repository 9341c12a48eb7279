//! What pub/sub decides, as functions and state machines: no runtime, no sockets, no APIs.
//!
//! ```text
//! publish:  data, metadata ─publish::envelope─▶ CloudEvent as bytes ──▶ broker
//! deliver:  broker ──▶ Message ─Event::of─▶ Event ─Routes::choose─▶ path ──▶ app ──▶ answer::of_* ─▶ Verdict
//! wishes:   Subscription resources, what the app answers ─subscription─▶ Subscription
//! ```
//!
//! Rules that hold throughout:
//! - What a publisher sends is nobody's promise: any shape, size or depth of it is an error or an event, never a panic.
//! - JSON that passes through keeps its text: no number is rounded, nothing is spelt otherwise.
//! - A message is delivered as its publisher gave it, whatever its content type: data that is no text travels as bytes.
//! - What was not understood is told with its name and place.
//!
//! Deliberately absent: brokers, the app, timers, resiliency, metrics, dead-letter publications. They are around this.

mod content_type;
mod json;

pub mod answer;
pub mod batch;
pub mod bulk;
pub mod event;
pub mod publish;
pub mod route;
pub mod subscription;
pub mod topic;

pub use event::Event;
pub use subscription::Subscription;

use trilby_components::RequestMetadata;

/// Metadata of a publication or a subscription: data goes through as it is, without an envelope.
pub const RAW_PAYLOAD: &str = "rawPayload";
/// `type` of an event whose publisher gives none.
pub const DEFAULT_TYPE: &str = "com.dapr.event.sent";
/// `type` of several events delivered together.
pub const BULK_TYPE: &str = "com.dapr.event.sent.bulk";
/// `source` of an event whose publisher gives none.
pub const DEFAULT_SOURCE: &str = "Dapr";
/// The version of CloudEvents.
pub const SPEC_VERSION: &str = "1.0";

/// `rawPayload` is no boolean.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{RAW_PAYLOAD} value must be a valid boolean: actual is '{0}'")]
pub struct InvalidRawPayload(pub String);

/// Whether `metadata` asks for raw data: absent or empty says no.
///
/// # Errors
/// The value is none of Go's booleans.
pub fn is_raw(metadata: &RequestMetadata) -> Result<bool, InvalidRawPayload> {
    match metadata.get(RAW_PAYLOAD).map(String::as_str) {
        None | Some("") => Ok(false),
        Some(text) => {
            trilby_go_syntax::parse_bool(text).map_err(|_| InvalidRawPayload(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidRawPayload, is_raw};

    #[test]
    fn raw_payloads_are_asked_for_as_go_spells_booleans() {
        let asked = |value: &str| is_raw(&[("rawPayload".to_owned(), value.to_owned())].into());
        assert_eq!(is_raw(&Default::default()), Ok(false));
        for (value, raw) in [("", false), ("true", true), ("1", true), ("F", false)] {
            assert_eq!(asked(value), Ok(raw), "{value}");
        }
        assert_eq!(asked("yes"), Err(InvalidRawPayload("yes".to_owned())));
    }
}
