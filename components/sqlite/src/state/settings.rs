//! The metadata of `state.sqlite`, with upstream's names and defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{Metadata, Schema, value::Seconds};
use trilby_components::registry::InitError;

use super::table::Table;
use crate::connection::{Defaults, Properties, Target};
use crate::notes::{Notes, identifier};

/// Upstream's defaults of the limits.
const DEFAULTS: Defaults = Defaults {
    timeout: Duration::from_secs(20),
    busy: Duration::from_secs(2),
};
/// How often rows that have expired are removed by default; upstream's other stores over SQL have this one.
const CLEANUP: Duration = Duration::from_secs(3600);

/// Metadata of the state store beyond its connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The table of values.
    #[schemars(extend("default" = "state"))]
    table_name: Option<String>,
    /// The table of notes on it.
    #[schemars(extend("default" = "metadata"))]
    metadata_table_name: Option<String>,
    /// How often values that have expired are removed from the file, with the first write after it; 0 for never. They
    /// are not seen in any case.
    #[schemars(extend("default" = "1h"))]
    cleanup_interval: Option<Seconds>,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("cleanupIntervalInSeconds", "cleanupInterval")];
}

/// All that the store is told.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) target: Target,
    pub(super) table: Table,
    /// How often rows that have expired are removed; `None` for never.
    pub(super) cleanup: Option<Duration>,
}

impl Store {
    /// Reads the metadata.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub(super) fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        let own: Settings = rest.decode()?;
        let name = identifier(own.table_name, "state", "tableName")?;
        let notes = identifier(own.metadata_table_name, "metadata", "metadataTableName")?;
        let cleanup = own.cleanup_interval.map_or(CLEANUP, |Seconds(time)| time);
        let cleanup = Some(cleanup).filter(|time| !time.is_zero());
        Ok(Self {
            target: Target::new(&properties, DEFAULTS)?,
            table: Table::new(name, Notes::new(notes)),
            cleanup,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_components::metadata::Metadata;

    use super::Store;

    fn store(pairs: &[(&str, &str)]) -> Result<Store, String> {
        let metadata = Metadata::new(pairs.iter().copied()).unwrap();
        Store::new(&metadata).map_err(|error| error.to_string())
    }

    #[test]
    fn aliases_and_defaults_are_upstreams() {
        let read = store(&[("url", "a.db"), ("cleanupIntervalInSeconds", "10")]).unwrap();
        assert_eq!(read.target.timeout, Duration::from_secs(20));
        assert_eq!(read.cleanup, Some(Duration::from_secs(10)));
        let read = store(&[("connectionString", "a.db"), ("cleanupInterval", "0")]).unwrap();
        assert_eq!(read.cleanup, None);
    }

    #[test]
    fn names_that_would_need_quotes_are_refused() {
        for name in ["tableName", "metadataTableName"] {
            for wrong in ["a;b", "a b", "a\""] {
                let refused = store(&[("url", "a.db"), (name, wrong)]).unwrap_err();
                assert!(refused.contains(name), "{refused}");
            }
        }
    }
}
