//! The metadata of `state.postgresql` beyond its connection, with upstream's names and defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{MetadataError, Schema, value::Seconds};
use trilby_components_sql::Interval;

use super::layout::Layout;
use super::table::Table;
use crate::notes::Notes;

/// Upstream's default of `timeout`.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// The shortest `timeout`.
pub(crate) const LEAST_TIMEOUT: Duration = Duration::from_secs(1);
/// Upstream's default of `cleanupInterval`.
const CLEANUP: Duration = Duration::from_secs(60 * 60);

/// Metadata of the state store, in both versions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Limit of one request, at least a second.
    #[schemars(extend("default" = "20s"))]
    timeout: Option<Seconds>,
    /// The table of notes on the tables of values; a schema may stand before it, with a dot.
    #[schemars(extend("default" = "dapr_metadata"))]
    metadata_table_name: Option<String>,
    /// How often values that have expired are removed from the table, after the first write of that time; 0 and less for
    /// never. They are not seen in any case.
    #[schemars(extend("default" = "1h"))]
    cleanup_interval: Option<Interval>,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("timeoutInSeconds", "timeout"),
        ("cleanupIntervalInSeconds", "cleanupInterval"),
    ];
}

impl Settings {
    /// Limit of one request.
    ///
    /// # Errors
    /// It is too short.
    pub(super) fn timeout(&self) -> Result<Duration, MetadataError> {
        request_limit(self.timeout)
    }

    /// How often rows that have expired are removed; `None` for never.
    pub(super) fn cleanup(&self) -> Option<Duration> {
        match self.cleanup_interval {
            None => Some(CLEANUP),
            Some(Interval(interval)) => interval,
        }
    }

    /// The table of notes.
    ///
    /// # Errors
    /// Its name is none.
    pub(super) fn notes(&self) -> Result<Notes, MetadataError> {
        let name = self
            .metadata_table_name
            .as_deref()
            .unwrap_or("dapr_metadata");
        check_name("metadataTableName", name)?;
        Ok(Notes::new(name.to_owned()))
    }
}

/// The limit that `timeout` sets, of any block.
///
/// # Errors
/// It is too short.
pub(crate) fn request_limit(timeout: Option<Seconds>) -> Result<Duration, MetadataError> {
    match timeout {
        None => Ok(TIMEOUT),
        Some(Seconds(limit)) if limit >= LEAST_TIMEOUT => Ok(limit),
        Some(_) => Err(MetadataError::invalid("timeout", "it must be at least 1s")),
    }
}

/// Metadata of v1.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct First {
    /// The table of values; a schema may stand before it, with a dot.
    #[schemars(extend("default" = "state"))]
    table_name: Option<String>,
}

impl Schema for First {}

impl First {
    pub(super) fn table(self, layout: Layout, notes: Notes) -> Result<Table, MetadataError> {
        let name = self.table_name.unwrap_or_else(|| "state".to_owned());
        check_name("tableName", &name)?;
        Ok(Table::documents(layout, name, notes))
    }
}

/// Metadata of v2.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Second {
    /// What stands before `state` in the name of the table of values: `my_`, or `schema.`.
    #[serde(default)]
    table_prefix: String,
}

impl Schema for Second {}

impl Second {
    pub(super) fn table(self, notes: Notes) -> Result<Table, MetadataError> {
        let table = Table::bytes(&self.table_prefix, notes);
        check_name("tablePrefix", &table.name)?;
        Ok(table)
    }
}

/// The name becomes part of statements: it is one or two identifiers, plain or in double quotes, and nothing else.
pub(crate) fn check_name(property: &str, name: &str) -> Result<(), MetadataError> {
    let mut rest = name;
    for _ in 0..2 {
        match after_identifier(rest) {
            Some("") => return Ok(()),
            Some(after) if after.starts_with('.') => rest = &after[1..],
            _ => break,
        }
    }
    let reason =
        "it is no name of a table: letters, digits and _, with or without a schema and a dot";
    Err(MetadataError::invalid(property, reason))
}

/// What comes after the identifier that a text starts with.
fn after_identifier(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, after) = quoted.split_once('"')?;
        return (!name.is_empty() && !name.contains(['\0', '\'', '\\'])).then_some(after);
    }
    let inside = |character: char| character.is_alphanumeric() || character == '_';
    let end = text
        .find(|character| !inside(character))
        .unwrap_or(text.len());
    let starts = text.starts_with(|first: char| inside(first) && !first.is_ascii_digit());
    starts.then(|| &text[end..])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_components::metadata::Metadata;

    use super::{First, Layout, Second, Settings};

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let metadata = Metadata::new(pairs.iter().copied()).unwrap();
        metadata.decode().unwrap()
    }

    #[test]
    fn aliases_and_defaults_are_upstreams() {
        let none = settings(&[]);
        assert_eq!(none.timeout(), Ok(Duration::from_secs(20)));
        assert_eq!(none.cleanup(), Some(Duration::from_secs(3600)));
        let given = settings(&[
            ("timeoutInSeconds", "5"),
            ("cleanupIntervalInSeconds", "10"),
        ]);
        assert_eq!(given.timeout(), Ok(Duration::from_secs(5)));
        assert_eq!(given.cleanup(), Some(Duration::from_secs(10)));
        for never in ["0", "-1", "-10m", "0s"] {
            assert_eq!(
                settings(&[("cleanupInterval", never)]).cleanup(),
                None,
                "{never}"
            );
        }
        assert!(settings(&[("timeout", "999ms")]).timeout().is_err());
    }

    #[test]
    fn tables_are_named_as_upstreams() {
        let notes = || settings(&[]).notes().unwrap();
        let first = |name: &str| {
            let metadata = Metadata::new([("tableName", name)]).unwrap();
            metadata
                .decode::<First>()
                .unwrap()
                .table(Layout::Documents, notes())
        };
        assert_eq!(first("").unwrap().name, "state");
        for name in ["public.state", "\"My State\".values", "größe"] {
            assert_eq!(first(name).unwrap().name, name);
        }
        for wrong in [
            "a;b", "a b", "1a", "a.b.c", "a.", "\"a", "\"\"", "\"a'b\"", ".a",
        ] {
            let refused = first(wrong).unwrap_err().to_string();
            assert!(refused.contains("tableName"), "{wrong}: {refused}");
        }
        let second = |prefix: &str| {
            let metadata = Metadata::new([("tablePrefix", prefix)]).unwrap();
            metadata.decode::<Second>().unwrap().table(notes())
        };
        assert_eq!(second("").unwrap().name, "state");
        let table = second("app.my_").unwrap();
        assert_eq!(table.name, "app.my_state");
        assert_eq!(table.migrations, "migrations-state-v2-app.my_");
        assert!(second("a b").is_err());
    }
}
