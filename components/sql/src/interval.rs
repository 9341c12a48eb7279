//! How often something is done, as metadata says it.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use trilby_component_catalogue::Unit;
use trilby_components::definition;
use trilby_go_syntax::parse_duration;

/// How often something is done: a Go duration or a number of seconds; `None` for never, which is zero and less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(pub Option<Duration>);

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (negative, amount) = match text.strip_prefix('-') {
            Some(amount) => (true, amount),
            None => (false, text.as_str()),
        };
        let interval = match amount.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => parse_duration(amount).map_err(de::Error::custom)?,
        };
        let never = negative || interval.is_zero();
        Ok(Self((!never).then_some(interval)))
    }
}

impl JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        definition::limit(Unit::Seconds)
    }
}
