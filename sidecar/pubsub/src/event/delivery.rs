//! Several events in one request over HTTP.

use super::{Bytes, Event, RequestMetadata, quoted};
use crate::BULK_TYPE;

/// What HTTP apps get of several events of one topic.
#[must_use]
pub fn bulk_body(
    id: &str,
    (pubsub, topic): (&str, &str),
    metadata: &RequestMetadata,
    entries: &[BulkItem<'_>],
) -> Bytes {
    let mut text = Vec::new();
    let mut begin = |name: &str, value: &[u8]| {
        text.push(if text.is_empty() { b'{' } else { b',' });
        text.extend_from_slice(&quoted(name));
        text.push(b':');
        text.extend_from_slice(value);
    };
    begin("entries", &items(entries));
    begin("id", &quoted(id));
    begin("metadata", &object(metadata));
    begin("pubsubname", &quoted(pubsub));
    begin("topic", &quoted(topic));
    begin("type", &quoted(BULK_TYPE));
    text.push(b'}');
    text.into()
}

/// One of several events.
#[derive(Debug, Clone, Copy)]
pub struct BulkItem<'a> {
    /// Its id in this delivery.
    pub entry_id: &'a str,
    /// The event.
    pub event: &'a Event,
    /// The content type of the message; empty if it has none.
    pub content_type: &'a str,
    /// The metadata of the message.
    pub metadata: &'a RequestMetadata,
}

fn items(entries: &[BulkItem<'_>]) -> Vec<u8> {
    let mut text = vec![b'['];
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        for (start, value) in [
            (&b"{\"entryId\":"[..], &quoted(entry.entry_id)[..]),
            (b",\"event\":", &entry.event.bulk_item()),
            (b",\"metadata\":", &object(entry.metadata)),
            (b",\"contentType\":", &quoted(entry.content_type)),
        ] {
            text.extend_from_slice(start);
            text.extend_from_slice(value);
        }
        text.push(b'}');
    }
    text.push(b']');
    text
}

fn object(metadata: &RequestMetadata) -> Vec<u8> {
    serde_json::to_vec(metadata).expect("texts can be written")
}
