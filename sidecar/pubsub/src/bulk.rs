//! Publications of several messages at once.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::value::RawValue;
use trilby_components::RequestMetadata;

use crate::{
    content_type,
    json::{self, Members},
};

/// One of several messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the publication, which the answer calls it by.
    pub entry_id: String,
    /// What is published.
    pub data: Bytes,
    /// The content type of `data`.
    pub content_type: String,
    /// Its metadata, with the request's below it.
    pub metadata: RequestMetadata,
}

/// Why a publication cannot be read; `index` counts entries from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// The body is no array of entries.
    #[error("{0}")]
    Unreadable(String),
    /// An entry has no id of its own.
    #[error("entryId is duplicated or not present for entry {index}")]
    EntryId {
        /// Which one.
        index: usize,
    },
    /// An event is not what its content type says.
    #[error("event of entry {index}: {reason}")]
    Event {
        /// Which one.
        index: usize,
        /// What is wrong.
        reason: String,
    },
}

/// The entries of a publication over HTTP.
///
/// # Errors
/// See [`BulkError`]; the first entry that is wrong is told.
pub fn parse_entries(body: &[u8], request: &RequestMetadata) -> Result<Vec<Entry>, BulkError> {
    let text = json::lossy(body);
    let unreadable = |error: serde_json::Error| {
        // In the words of upstream's reader, where it has some.
        let words = if error.is_eof() {
            "unexpected EOF".to_owned()
        } else {
            error.to_string()
        };
        BulkError::Unreadable(words)
    };
    let items: Option<Vec<Option<Members<'_>>>> =
        serde_json::from_str(&text).map_err(unreadable)?;
    let items = items.unwrap_or_default();
    let mut entries = Vec::with_capacity(items.len());
    let mut known = HashSet::with_capacity(items.len());
    for (index, members) in items.into_iter().enumerate() {
        let entry = entry(index, &members.unwrap_or_default(), request)?;
        if entry.entry_id.is_empty() || !known.insert(entry.entry_id.clone()) {
            return Err(BulkError::EntryId { index });
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// The metadata of an entry: the request's, and over it its own.
#[must_use]
pub fn merged(request: &RequestMetadata, own: RequestMetadata) -> RequestMetadata {
    let mut merged = request.clone();
    merged.extend(own);
    merged
}

fn entry(
    index: usize,
    members: &Members<'_>,
    request: &RequestMetadata,
) -> Result<Entry, BulkError> {
    let content_type = text(index, members, "contentType")?;
    let event = json::member(members, "event").map_or("null", |raw| raw.get());
    let data = converted(event, &content_type);
    Ok(Entry {
        data: data.map_err(|reason| BulkError::Event { index, reason })?,
        entry_id: text(index, members, "entryId")?,
        metadata: merged(request, metadata(index, members)?),
        content_type,
    })
}

fn text(index: usize, members: &Members<'_>, name: &str) -> Result<String, BulkError> {
    let Some(raw) = given(members, name) else {
        return Ok(String::new());
    };
    let wrong = || BulkError::Unreadable(format!("{name} of entry {index} is not a string"));
    json::text_of(raw.get()).ok_or_else(wrong)
}

fn metadata(index: usize, members: &Members<'_>) -> Result<RequestMetadata, BulkError> {
    let Some(raw) = given(members, "metadata") else {
        return Ok(RequestMetadata::new());
    };
    let wrong = |error| BulkError::Unreadable(format!("metadata of entry {index}: {error}"));
    let metadata: std::collections::BTreeMap<json::Text, Option<json::Text>> =
        serde_json::from_str(raw.get()).map_err(wrong)?;
    let texts = metadata.into_iter();
    let texts = texts.map(|(name, value)| (name.0, value.map_or_else(String::new, |text| text.0)));
    Ok(texts.collect())
}

/// A member that is not null.
fn given<'m, 'a>(members: &'m Members<'a>, name: &str) -> Option<&'m &'a RawValue> {
    json::member(members, name).filter(|raw| raw.get() != "null")
}

/// The bytes that an event in JSON stands for.
fn converted(event: &str, content_type: &str) -> Result<Bytes, String> {
    let text = || {
        let text = json::text_of(event);
        text.ok_or_else(|| format!("with content type {content_type:?} it must be a string"))
    };
    if content_type::is_binary(content_type) {
        let data = STANDARD.decode(text()?);
        let reason =
            |error| format!("it is no base64, as content type {content_type:?} needs: {error}");
        return data.map(Bytes::from).map_err(reason);
    }
    if content_type::is_text(content_type) {
        return text().map(Bytes::from);
    }
    if content_type::is_json(content_type) || content_type::is_cloud_event(content_type) {
        return Ok(Bytes::copy_from_slice(event.as_bytes()));
    }
    Err(format!(
        "content type {content_type:?} cannot be published in bulk"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(entries: &[(&str, &str)]) -> RequestMetadata {
        let owned = entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    fn parse(body: &str) -> Result<Vec<Entry>, BulkError> {
        parse_entries(
            body.as_bytes(),
            &metadata(&[("ttlInSeconds", "5"), ("key", "request")]),
        )
    }

    #[test]
    fn events_are_what_their_content_types_say() {
        for (event, content_type, data) in [
            (r#""YWI=""#, "application/octet-stream", Some("ab")),
            (r#""no base64""#, "application/octet-stream", None),
            ("1", "application/octet-stream", None),
            (r#""a\n""#, "text/plain; charset=utf-8", Some("a\n")),
            (r#""<a/>""#, "application/xml", Some("<a/>")),
            ("{}", "text/plain", None),
            (r#"{"a": 1.50}"#, "application/json", Some(r#"{"a": 1.50}"#)),
            (r#""a""#, "application/json", Some(r#""a""#)),
            (
                r#"{"id":1}"#,
                "application/cloudevents+json",
                Some(r#"{"id":1}"#),
            ),
            (r#""a""#, "image/png", None),
            (r#""a""#, "", None),
        ] {
            let body =
                format!(r#"[{{"entryId":"1","event":{event},"contentType":"{content_type}"}}]"#);
            match (parse(&body), data) {
                (Ok(entries), Some(data)) => assert_eq!(entries[0].data, data, "{body}"),
                (Err(BulkError::Event { index: 0, .. }), None) => {}
                (other, _) => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_entry_has_the_metadata_of_the_request() {
        let body = r#"[{"entryId":"1","event":"a","contentType":"text/plain"},
            {"entryId":"2","event":"a","contentType":"text/plain","metadata":{"key":"entry","n":null}}]"#;
        let entries = parse(body).unwrap();
        assert_eq!(
            entries[0].metadata,
            metadata(&[("ttlInSeconds", "5"), ("key", "request")])
        );
        assert_eq!(
            entries[1].metadata,
            metadata(&[("ttlInSeconds", "5"), ("key", "entry"), ("n", "")])
        );
    }

    #[test]
    fn each_entry_has_an_id_of_its_own() {
        let entry = |id: &str| format!(r#"{{{id}"event":"a","contentType":"text/plain"}}"#);
        for (entries, wrong) in [
            (vec![entry("")], 0),
            (
                vec![entry(r#""entryId":"a","#), entry(r#""entryId":"","#)],
                1,
            ),
            (
                vec![entry(r#""entryId":"a","#), entry(r#""EntryID":"a","#)],
                1,
            ),
        ] {
            let body = format!("[{}]", entries.join(","));
            assert_eq!(
                parse(&body),
                Err(BulkError::EntryId { index: wrong }),
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_no_array_of_entries_is_refused() {
        for body in [
            "",
            "{}",
            "[1]",
            "[",
            r#"[{"entryId":1,"event":"","contentType":"text/a"}]"#,
            r#"[{"entryId":"1","event":"","contentType":"text/a","metadata":[1]}]"#,
        ] {
            assert!(
                matches!(parse(body), Err(BulkError::Unreadable(_))),
                "{body}"
            );
        }
        assert_eq!(parse("[]"), Ok(Vec::new()));
        assert_eq!(parse("null"), Ok(Vec::new()));
    }
}
