//! Events that the app made itself.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::{
    Bytes, DEFAULT_SOURCE, DEFAULT_TYPE, EnvelopeError, Members, Publication, SPEC_VERSION,
    Timestamp, json, rfc3339, written,
};

/// The app's event, with what it lacks. Its topic and component are where it is published, whatever it says.
pub(super) fn completed(
    publication: &Publication<'_>,
    expiration: Option<Timestamp>,
) -> Result<Bytes, EnvelopeError> {
    let text = json::lossy(&publication.data);
    let members: Members<'_> = serde_json::from_str(&text)
        .map_err(|error| EnvelopeError::NoCloudEvent(error.to_string()))?;
    if let Some(flaw) = json::flaw(&text, json::MAX_DEPTH) {
        return Err(EnvelopeError::NoCloudEvent(flaw));
    }
    let written_by_us = ours(publication, expiration, &members);
    let mut event: BTreeMap<&str, &RawValue> = members
        .iter()
        .map(|(name, value)| (name.0.as_str(), *value))
        .collect();
    event.extend(written_by_us.iter().map(|(name, value)| (*name, &**value)));
    Ok(written(&event))
}

fn ours(
    publication: &Publication<'_>,
    expiration: Option<Timestamp>,
    members: &Members<'_>,
) -> Vec<(&'static str, Box<RawValue>)> {
    let said = |name: &str| members.iter().find(|(known, _)| known.0 == name);
    let absent = |name: &str| said(name).is_none();
    // JSON's null says nothing either.
    let unsaid = |name: &str| said(name).is_none_or(|(_, value)| value.get() == "null");
    let time = rfc3339(publication.now);
    let traced = absent("traceid");
    let expiration = expiration.map(rfc3339);
    [
        ("topic", publication.topic, true),
        ("pubsubname", publication.pubsub, true),
        ("time", &*time, absent("time")),
        ("traceid", publication.trace_parent, traced),
        ("traceparent", publication.trace_parent, traced),
        ("tracestate", publication.trace_state, absent("tracestate")),
        ("source", DEFAULT_SOURCE, unsaid("source")),
        ("type", DEFAULT_TYPE, unsaid("type")),
        ("specversion", SPEC_VERSION, unsaid("specversion")),
        (
            "expiration",
            expiration.as_deref().unwrap_or_default(),
            expiration.is_some(),
        ),
    ]
    .into_iter()
    .filter(|(_, _, wanted)| *wanted)
    .map(|(name, value, _)| (name, to_raw_value(value).expect("a text can be written")))
    .collect()
}
