//! The table: how it is read, and which of its rows are the items.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::Type;
use trilby_components::RequestMetadata;
use trilby_components::configuration::{Item, Items, Selection};
use trilby_components::state::StateError;

use super::notification::texts;
use super::settings::NOTIFY_CHANNEL;
use crate::failure::Failure;
use crate::pool::Loan;

/// The table of a component.
#[derive(Debug, Clone)]
pub(super) struct Table {
    name: String,
    /// As statements name it.
    quoted: String,
}

/// A row of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) item: Item,
}

impl Table {
    pub(super) fn new(name: String, quoted: String) -> Self {
        Self { name, quoted }
    }

    /// Whether there is one of that name.
    pub(super) async fn is_there(&self, loan: &Loan) -> Result<bool, Failure> {
        let statement = "SELECT to_regclass($1) IS NOT NULL";
        let row = loan.row(statement, &[(&self.quoted, Type::TEXT)]).await?;
        Ok(row.map_or(Ok(false), |row| row.try_get(0))?)
    }

    /// The rows of these keys; without keys, all.
    pub(super) async fn rows(&self, loan: &Loan, keys: &[String]) -> Result<Vec<Row>, Failure> {
        // Columns by their place, as upstream reads them, and of any type that has a text.
        let all = format!(
            "SELECT c.k::text, c.v::text, c.n::text, c.m::text FROM {} AS c(k, v, n, m)",
            self.quoted
        );
        let rows = if keys.is_empty() {
            loan.rows(&all, &[]).await?
        } else {
            let some = format!("{all} WHERE c.k::text = ANY($1)");
            loan.rows(&some, &[(&keys, Type::TEXT_ARRAY)]).await?
        };
        rows.iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &SqlRow) -> Result<Row, Failure> {
        let text = |column: usize| -> Result<String, Failure> {
            let text: Option<String> = row.try_get(column)?;
            Ok(text.unwrap_or_default())
        };
        let key = text(0)?;
        let metadata = metadata(&text(3)?).map_err(|why| {
            let table = &self.name;
            Failure::from(StateError::Store(format!(
                "the metadata of key {key:?} in table {table} {why}"
            )))
        })?;
        let item = Item {
            value: text(1)?,
            version: text(2)?,
            metadata,
        };
        Ok(Row { key, item })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A JSON object, or nothing.
fn metadata(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let value = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    texts(&value).ok_or_else(|| "is no JSON object".to_owned())
}

/// The items of a selection among these rows: of each key the one with the highest numeric version, else the first.
/// Metadata of a request for keys selects rows by their columns (`key`, `value`, `version`), else by their metadata;
/// without keys it selects nothing, as upstream.
pub(super) fn items(rows: Vec<Row>, selection: &Selection) -> Items {
    let filters = match selection.keys.is_empty() {
        true => &RequestMetadata::new(),
        false => &selection.metadata,
    };
    let mut items = Items::new();
    for row in rows.into_iter().filter(|row| row.fits(filters)) {
        match items.entry(row.key) {
            Entry::Vacant(free) => {
                free.insert(row.item);
            }
            Entry::Occupied(mut taken) => {
                if number(&row.item) > number(taken.get()) {
                    taken.insert(row.item);
                }
            }
        }
    }
    items
}

/// A version that is no number is below every one that is.
fn number(item: &Item) -> i64 {
    item.version.parse().unwrap_or(-1)
}

impl Row {
    fn fits(&self, filters: &RequestMetadata) -> bool {
        filters.iter().all(|(name, wanted)| {
            let lower = name.to_ascii_lowercase();
            let found = match lower.as_str() {
                "key" => Some(&self.key),
                "value" => Some(&self.item.value),
                "version" => Some(&self.item.version),
                _ => self.item.metadata.get(name),
            };
            lower == NOTIFY_CHANNEL.to_ascii_lowercase() || found == Some(wanted)
        })
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::configuration::{Item, Selection};

    use super::{Row, items, metadata};

    fn row(key: &str, version: &str, metadata: &[(&str, &str)]) -> Row {
        let texts = metadata.iter();
        let item = Item {
            value: format!("v{version}"),
            version: version.to_owned(),
            metadata: texts
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let key = key.to_owned();
        Row { key, item }
    }

    fn versions(rows: &[Row], keys: &[&str], filters: &[(&str, &str)]) -> Vec<String> {
        let owned = |text: &&str| (*text).to_owned();
        let selection = Selection {
            keys: keys.iter().map(owned).collect(),
            metadata: filters
                .iter()
                .map(|(name, value)| (owned(name), owned(value)))
                .collect(),
        };
        let found = items(rows.to_vec(), &selection);
        found
            .into_iter()
            .map(|(key, item)| format!("{key}={}", item.version))
            .collect()
    }

    #[test]
    fn the_highest_numeric_version_counts() {
        let rows = ["2", "10", "9", "x", ""].map(|version| row("a", version, &[]));
        assert_eq!(versions(&rows, &[], &[]), ["a=10"]);
        let rows = ["x", "y"].map(|version| row("a", version, &[]));
        assert_eq!(versions(&rows, &[], &[]), ["a=x"]);
    }

    /// Upstream compares the request with itself, never with the rows.
    #[test]
    fn metadata_of_a_request_selects_rows_by_what_is_in_them() {
        let rows = [
            row("a", "1", &[("env", "test")]),
            row("a", "2", &[("env", "live")]),
            row("b", "1", &[]),
        ];
        let keys = &["a", "b"];
        assert_eq!(versions(&rows, keys, &[("env", "test")]), ["a=1"]);
        assert_eq!(versions(&rows, keys, &[("Version", "1")]), ["a=1", "b=1"]);
        assert_eq!(
            versions(&rows, keys, &[("value", "v2"), ("env", "live")]),
            ["a=2"]
        );
        assert_eq!(
            versions(&rows, keys, &[("env", "none")]),
            Vec::<String>::new()
        );
        assert_eq!(
            versions(&rows, keys, &[("pgNotifyChannel", "c")]),
            ["a=2", "b=1"]
        );
        assert_eq!(versions(&rows, &[], &[("env", "none")]), ["a=2", "b=1"]);
    }

    #[test]
    fn metadata_is_an_object_of_texts() {
        let texts = metadata(r#"{"a":"x","n":1,"b":true,"none":null}"#).unwrap();
        let texts: Vec<_> = texts
            .iter()
            .map(|(name, text)| format!("{name}={text}"))
            .collect();
        assert_eq!(texts, ["a=x", "b=true", "n=1", "none="]);
        assert_eq!(metadata("null").unwrap().len(), 0);
        assert_eq!(metadata("[]").unwrap_err(), "is no JSON object");
    }
}
