//! Timeouts as upstream's Redis settings spell them.

use std::{borrow::Cow, time::Duration};

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use trilby_component_catalogue::Unit;
use trilby_components::definition;
use trilby_go_syntax::parse_duration;

/// A limit of time: a Go duration, or an integer that counts milliseconds. A negative integer is no limit,
/// zero is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    After(Duration),
    None,
}

impl Limit {
    pub(super) fn duration(self) -> Option<Duration> {
        match self {
            Self::After(duration) => Some(duration),
            Self::None => None,
        }
    }

    pub(super) fn longer(self, other: Self) -> Self {
        match (self, other) {
            (Self::After(left), Self::After(right)) => Self::After(left.max(right)),
            _ => Self::None,
        }
    }

    /// For a field with `deserialize_with`: zero is as if the field were not given.
    pub(super) fn non_zero<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Self>, D::Error> {
        let limit = Self::deserialize(deserializer)?;
        Ok((limit != Self::After(Duration::ZERO)).then_some(limit))
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<i64>() {
            Ok(number) => Ok(u64::try_from(number).map_or(Self::None, |milliseconds| {
                Self::After(Duration::from_millis(milliseconds))
            })),
            Err(_) => parse_duration(&text)
                .map(Self::After)
                .map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        definition::limit(Unit::Milliseconds)
    }
}
