//! Forms of values that recur in metadata.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use trilby_component_catalogue::Unit;
use trilby_go_syntax::{Quantity, parse_duration};

use crate::definition;

/// A length of time: a Go duration (`1m30s`), or a bare integer that counts seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<u64>() {
            Ok(seconds) => Ok(Self(Duration::from_secs(seconds))),
            Err(_) => parse_duration(&text).map(Self).map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        definition::duration(Unit::Seconds)
    }
}

/// A length of time: a Go duration (`1m30s`), or a bare integer that counts milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Milliseconds(pub Duration);

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<u64>() {
            Ok(milliseconds) => Ok(Self(Duration::from_millis(milliseconds))),
            Err(_) => parse_duration(&text).map(Self).map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Milliseconds {
    fn schema_name() -> Cow<'static, str> {
        "Milliseconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        definition::duration(Unit::Milliseconds)
    }
}

/// A size in bytes: a bare integer, or with a unit as Kubernetes has them (`100Mi`, `2k`). Zero and less is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MostBytes(pub Option<usize>);

impl<'de> Deserialize<'de> for MostBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let quantity: Quantity = text.trim().parse().map_err(de::Error::custom)?;
        let bytes = quantity.value();
        // What no machine has is no limit either.
        Ok(Self(usize::try_from(bytes).ok().filter(|most| *most > 0)))
    }
}

impl JsonSchema for MostBytes {
    fn schema_name() -> Cow<'static, str> {
        "MostBytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string"})
    }
}

/// A text that never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Sensitive(String);

impl Sensitive {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl JsonSchema for Sensitive {
    fn schema_name() -> Cow<'static, str> {
        "Sensitive".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "writeOnly": true})
    }
}
