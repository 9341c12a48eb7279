//! The metadata of `state.mysql` beyond its connection, with upstream's names and defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{MetadataError, Schema};
use trilby_components_sql::Interval;

/// Upstream's default of `timeoutInSeconds`.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Upstream's default of `cleanupInterval`.
const CLEANUP: Duration = Duration::from_secs(60 * 60);

/// Metadata of the state store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The database. It is made if it is not there.
    #[schemars(extend("default" = "dapr_state_store"))]
    schema_name: Option<String>,
    /// The table of values. It is made if it is not there, for keys that are told apart by every character; in one that
    /// an upstream sidecar made, the database's collation says which keys are the same, often whatever their case. A
    /// key has at most 255 characters. JSON is kept as it is by MariaDB, in its own words by MySQL. Tested with MariaDB
    /// 10.11, not with a real MySQL, whose `JSON` is no text.
    #[schemars(extend("default" = "state"))]
    table_name: Option<String>,
    /// The table of notes on it.
    #[schemars(extend("default" = "dapr_metadata"))]
    metadata_table_name: Option<String>,
    /// Limit of one request, in seconds; 0 and less for the default.
    #[schemars(extend("default" = "20"))]
    timeout_in_seconds: Option<i32>,
    /// How often values that have expired are removed from the table, after the first write of that time; 0 and less for
    /// never. They are not seen in any case.
    #[schemars(extend("default" = "1h"))]
    cleanup_interval: Option<Interval>,
}

impl Schema for Settings {}

/// Names that need no quotes.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) database: String,
    pub(super) table: String,
    pub(super) notes: String,
}

impl Settings {
    /// Limit of one request.
    pub(super) fn timeout(&self) -> Duration {
        let given = self.timeout_in_seconds.map(u64::try_from);
        match given {
            Some(Ok(seconds)) if seconds > 0 => Duration::from_secs(seconds),
            _ => TIMEOUT,
        }
    }

    /// How often rows that have expired are removed; `None` for never.
    pub(super) fn cleanup(&self) -> Option<Duration> {
        match self.cleanup_interval {
            None => Some(CLEANUP),
            Some(Interval(interval)) => interval,
        }
    }

    /// Database and tables.
    ///
    /// # Errors
    /// A name would need quotes.
    pub(super) fn names(&self) -> Result<Names, MetadataError> {
        let database = self.schema_name.as_deref().unwrap_or("dapr_state_store");
        let table = self.table_name.as_deref().unwrap_or("state");
        let notes = self
            .metadata_table_name
            .as_deref()
            .unwrap_or("dapr_metadata");
        Ok(Names {
            database: checked("schemaName", database)?,
            table: checked("tableName", table)?,
            notes: checked("metadataTableName", notes)?,
        })
    }
}

/// The name becomes part of statements.
fn checked(property: &str, name: &str) -> Result<String, MetadataError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    // What is all digits would be a number.
    let valid = name.bytes().all(plain) && !name.bytes().all(|byte| byte.is_ascii_digit());
    match valid {
        true => Ok(name.to_owned()),
        false => Err(MetadataError::invalid(
            property,
            "it has to be of letters, digits and _, and not of digits alone",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_components::metadata::Metadata;

    use super::Settings;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let metadata = Metadata::new(pairs.iter().copied()).unwrap();
        metadata.decode().unwrap()
    }

    #[test]
    fn defaults_are_upstreams() {
        let none = settings(&[]);
        assert_eq!(none.timeout(), Duration::from_secs(20));
        assert_eq!(none.cleanup(), Some(Duration::from_secs(3600)));
        let names = none.names().unwrap();
        assert_eq!(names.database, "dapr_state_store");
        assert_eq!(
            (names.table, names.notes),
            ("state".into(), "dapr_metadata".into())
        );
        for (given, expected) in [("5", 5), ("0", 20), ("-1", 20)] {
            let given = settings(&[("timeoutInSeconds", given)]);
            assert_eq!(given.timeout(), Duration::from_secs(expected));
        }
        for (given, expected) in [
            ("10", Some(10)),
            ("20m", Some(1200)),
            ("0", None),
            ("-1h", None),
        ] {
            let given = settings(&[("cleanupInterval", given)]);
            assert_eq!(given.cleanup(), expected.map(Duration::from_secs));
        }
    }

    #[test]
    fn names_that_would_need_quotes_are_refused() {
        for property in ["schemaName", "tableName", "metadataTableName"] {
            for wrong in ["a;b", "a b", "a`", "a.b", "ä", "12"] {
                let refused = settings(&[(property, wrong)]).names().unwrap_err();
                assert!(refused.to_string().contains(property), "{refused}");
            }
        }
    }
}
