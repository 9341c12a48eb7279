//! The properties of a message: from the metadata of a request, and into that of an event.

use std::time::Duration;

use lapin::{
    BasicProperties,
    types::{AMQPValue, ShortString},
};
use trilby_components::RequestMetadata;
use trilby_go_syntax::{DurationError, parse_duration};

use crate::topology::name;

/// What upstream's sidecar says of every message whose publisher says nothing else. It says nothing, so it is not told
/// to subscribers.
const PLAIN: &str = "text/plain";

/// The value of the first of these keys that has one, in any case.
fn find<'a>(metadata: &'a RequestMetadata, keys: &[&str]) -> Option<&'a str> {
    let given = |key: &str| {
        let exact = metadata.get_key_value(key).into_iter();
        let other = metadata
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(key));
        let mut values = exact.chain(other).map(|(_, value)| value.as_str());
        values.find(|value| !value.is_empty())
    };
    keys.iter().find_map(|key| given(key))
}

/// What the metadata of a request says about its message; `content_type` counts where it says none, `ttl` where it says
/// none.
///
/// # Errors
/// What it says cannot be; the key is named.
pub(crate) fn of_request(
    metadata: &RequestMetadata,
    content_type: Option<&str>,
    ttl: Option<Duration>,
) -> Result<BasicProperties, String> {
    let said = find(metadata, &["contentType"]).or(content_type);
    let content_type = name("contentType", said.unwrap_or(PLAIN))?;
    let mut properties = BasicProperties::default().with_content_type(content_type);
    if let Some(id) = find(metadata, &["messageID"]) {
        properties = properties.with_message_id(name("messageID", id)?);
    }
    if let Some(id) = find(metadata, &["correlationID"]) {
        properties = properties.with_correlation_id(name("correlationID", id)?);
    }
    if let Some(kind) = find(metadata, &["type"]) {
        properties = properties.with_type(name("type", kind)?);
    }
    // Zero is what a message has that says nothing.
    if let Some(priority) = priority(metadata)?.filter(|priority| *priority > 0) {
        properties = properties.with_priority(priority);
    }
    if let Some(ttl) = time_to_live(metadata)?.or(ttl) {
        let milliseconds = ttl.as_millis().to_string();
        properties = properties.with_expiration(milliseconds.into());
    }
    Ok(properties)
}

/// How long the message may wait, if the request says so.
fn time_to_live(metadata: &RequestMetadata) -> Result<Option<Duration>, String> {
    let Some(text) = find(metadata, &["ttl", "ttlInSeconds"]) else {
        return Ok(None);
    };
    let wrong = || format!("ttlInSeconds is no duration and no positive number: {text:?}");
    match parse_duration(text) {
        Ok(duration) => return Ok(Some(duration)),
        Err(DurationError::Negative(_)) => return Ok(Some(Duration::ZERO)),
        Err(_) => {}
    }
    match text.parse::<u64>() {
        Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(wrong()),
    }
}

fn priority(metadata: &RequestMetadata) -> Result<Option<u8>, String> {
    let Some(text) = metadata.get("priority").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number: i64 = text
        .parse()
        .map_err(|_| format!("priority is no number: {text:?}"))?;
    let number = number.clamp(0, u8::MAX.into());
    Ok(Some(u8::try_from(number).expect("it is between 0 and 255")))
}

/// The content type that the publisher said.
pub(crate) fn content_type(properties: &BasicProperties) -> Option<String> {
    let said = properties.content_type().as_ref().map(ShortString::as_str);
    said.filter(|said| !said.is_empty() && *said != PLAIN)
        .map(ToOwned::to_owned)
}

/// Properties and headers, as upstream names them in metadata.
pub(crate) fn as_metadata(properties: &BasicProperties) -> RequestMetadata {
    let named = [
        ("messageid", properties.message_id()),
        ("correlationid", properties.correlation_id()),
        ("type", properties.kind()),
        ("contenttype", properties.content_type()),
    ];
    let named = named.into_iter().filter_map(|(name, value)| {
        let value = value.as_ref().map(ShortString::as_str)?;
        (!value.is_empty()).then(|| (format!("metadata.{name}"), value.to_owned()))
    });
    let headers = headers(properties).map(|(name, value)| (format!("metadata.{name}"), value));
    named.chain(headers).collect()
}

/// Headers with values that are text or can be written as such: not tables, not lists.
fn headers(properties: &BasicProperties) -> impl Iterator<Item = (&str, String)> {
    let headers = properties.headers().iter().flat_map(|all| all.inner());
    headers.filter_map(|(name, value)| Some((name.as_str(), text(value)?)))
}

/// Headers whose value is a text.
pub(crate) fn texts(properties: &BasicProperties) -> impl Iterator<Item = (&str, String)> {
    let headers = properties.headers().iter().flat_map(|all| all.inner());
    headers.filter_map(|(name, value)| match value {
        AMQPValue::LongString(_) | AMQPValue::ShortString(_) => Some((name.as_str(), text(value)?)),
        _ => None,
    })
}

fn text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ByteArray(bytes) => String::from_utf8_lossy(bytes.as_slice()).into_owned(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(number) => number.to_string(),
        AMQPValue::ShortShortUInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::ShortUInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongUInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::Float(number) => number.to_string(),
        AMQPValue::Double(number) => number.to_string(),
        AMQPValue::Timestamp(number) => number.to_string(),
        AMQPValue::DecimalValue(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::Void => return None,
    })
}

#[cfg(test)]
mod tests;
