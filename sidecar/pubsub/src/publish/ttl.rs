//! How long a message is of use.

use std::time::Duration;

use trilby_go_syntax::{DurationError, parse_duration};

use super::{EnvelopeError, RequestMetadata};

/// The names of it, the first of which counts, in any case.
const NAMES: [&str; 2] = ["ttl", "ttlInSeconds"];

/// The time to live that `metadata` says: a Go duration, or whole seconds. What is below zero as a duration has expired.
pub(super) fn of(metadata: &RequestMetadata) -> Result<Option<Duration>, EnvelopeError> {
    let named = |name: &&str| {
        let mut entries = metadata.iter();
        entries.find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    let Some((name, value)) = NAMES.iter().find_map(named) else {
        return Ok(None);
    };
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = |reason| EnvelopeError::Ttl {
        name: name.clone(),
        value: value.clone(),
        reason,
    };
    match (parse_duration(value), value.parse::<i64>()) {
        (Ok(ttl), _) => Ok(Some(ttl)),
        (Err(DurationError::Negative(_)), _) => Ok(Some(Duration::ZERO)),
        (_, Ok(seconds)) => match u64::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(wrong("must be higher than zero")),
        },
        _ => Err(wrong("must be a number of seconds or a duration")),
    }
}
