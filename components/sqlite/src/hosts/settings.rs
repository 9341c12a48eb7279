//! The settings of the resolver, with upstream's names and defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use trilby_components::metadata::value::Seconds;
use trilby_components::metadata::{Metadata, Schema};
use trilby_components::registry::InitError;

use crate::connection::{Defaults, Properties, Target};
use crate::notes::identifier;

/// Upstream's defaults: questions of an invocation are not to wait long.
const DEFAULTS: Defaults = Defaults {
    timeout: Duration::from_secs(1),
    busy: Duration::from_millis(800),
};
/// Default of `updateInterval`.
const UPDATE: Duration = Duration::from_secs(5);
/// Default of `cleanupInterval`.
const CLEANUP: Duration = Duration::from_secs(3600);
/// How much longer `updateInterval` has to be than `timeout`.
const MARGIN: Duration = Duration::from_secs(1);

/// Everything that is told.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The database.
    pub(crate) target: Target,
    /// The table of hosts.
    pub(crate) table: String,
    /// The table of notes on the others.
    pub(crate) metadata_table: String,
    /// How old a row may be, in whole seconds.
    pub(crate) update: Duration,
    /// Time between two removals of old rows; `None` for never.
    pub(crate) cleanup: Option<Duration>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Own {
    table_name: Option<String>,
    metadata_table_name: Option<String>,
    update_interval: Option<Seconds>,
    cleanup_interval: Option<Seconds>,
}

impl Schema for Own {
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("cleanupIntervalInSeconds", "cleanupInterval")];
}

impl Settings {
    /// Reads the `configuration` of the name resolution.
    ///
    /// # Errors
    /// It is no object of plain values, or one of them is wrong.
    pub(crate) fn new(settings: &Value) -> Result<Self, InitError> {
        let (properties, rest) = plain(settings)?.split::<Properties>()?;
        let own: Own = rest.decode()?;
        let settings = Self {
            target: Target::new(&properties, DEFAULTS)?,
            table: identifier(own.table_name, "hosts", "table name")?,
            metadata_table: identifier(own.metadata_table_name, "metadata", "metadata table name")?,
            update: own.update_interval.map_or(UPDATE, |Seconds(time)| time),
            cleanup: Some(own.cleanup_interval.map_or(CLEANUP, |Seconds(time)| time))
                .filter(|time| !time.is_zero()),
        };
        if settings.update.subsec_nanos() != 0 {
            return Err(invalid(
                "update interval must not contain fractions of seconds",
            ));
        }
        if settings.update < settings.target.timeout + MARGIN {
            return Err(invalid(
                "update interval must be at least 1s greater than timeout",
            ));
        }
        Ok(settings)
    }

    /// Time between two renewals: each may take its limit before the row is old.
    pub(crate) fn renewal(&self) -> Duration {
        self.update - self.target.timeout
    }
}

/// An object of texts, numbers and booleans as metadata.
fn plain(settings: &Value) -> Result<Metadata, InitError> {
    let no_object = || invalid("configuration of name resolver sqlite: an object is needed");
    let fields = settings.as_object().ok_or_else(no_object)?;
    let mut pairs = Vec::new();
    for (name, value) in fields {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                let reason = format!("configuration of name resolver sqlite: {name} is no text");
                return Err(InitError::Invalid(reason));
            }
        };
        pairs.push((name.clone(), text));
    }
    Ok(Metadata::new(pairs)?)
}

fn invalid(reason: &str) -> InitError {
    InitError::Invalid(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::Settings;

    fn refused(settings: serde_json::Value) -> String {
        Settings::new(&settings).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_upstreams() {
        let settings = Settings::new(&json!({ "connectionString": "a.db" })).unwrap();
        assert_eq!(settings.table, "hosts");
        assert_eq!(settings.metadata_table, "metadata");
        assert_eq!(settings.update, Duration::from_secs(5));
        assert_eq!(settings.renewal(), Duration::from_secs(4));
        assert_eq!(settings.cleanup, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn numbers_and_booleans_are_taken_as_their_text() {
        let settings = json!({
            "connectionString": "a.db", "updateInterval": 30, "cleanupInterval": 0, "disableWAL": true
        });
        let settings = Settings::new(&settings).unwrap();
        assert_eq!(settings.update, Duration::from_secs(30));
        assert_eq!(settings.cleanup, None);
    }

    #[test]
    fn wrong_settings_say_what_is_wrong() {
        assert!(refused(json!(null)).contains("an object is needed"));
        assert!(refused(json!({})).contains("connectionString"));
        let with = |name: &str, value: &str| refused(json!({ "url": "a.db", name: value }));
        assert!(with("updateInterval", "1500ms").contains("fractions of seconds"));
        assert!(with("updateInterval", "1s").contains("1s greater than timeout"));
        assert!(with("tableName", "a;b").contains("table name: a;b"));
        assert!(with("metadataTableName", "a b").contains("metadata table name"));
    }
}
