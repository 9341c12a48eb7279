//! The table of notes that components keep beside their own, as upstream's do: how far those are made, and when they
//! were last cleaned. Everything here blocks.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use trilby_components::registry::InitError;

/// The table of notes.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    table: String,
}

impl Notes {
    pub(crate) fn new(table: String) -> Self {
        Self { table }
    }

    /// Does `make`, which is migration number `latest`, unless it was noted down under `key`.
    pub(crate) fn migrate(
        &self,
        connection: &mut Connection,
        (key, latest): (&str, u32),
        make: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let table = &self.table;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {table} (key text NOT NULL PRIMARY KEY, value text NOT NULL)"
        ))?;
        let done = format!("SELECT CAST(value AS INTEGER) FROM {table} WHERE key = ?");
        let done = transaction.query_row(&done, [key], |row| row.get::<_, u32>(0));
        if done.optional()?.unwrap_or(0) < latest {
            make(&transaction)?;
            transaction.execute(
                &format!("REPLACE INTO {table} (key, value) VALUES (?, ?)"),
                params![key, latest.to_string()],
            )?;
        }
        transaction.commit()
    }

    /// Whether nobody noted down under `key` that he did it within `interval`; notes it down then.
    pub(crate) fn is_due(
        &self,
        connection: &Connection,
        key: &str,
        interval: Duration,
    ) -> rusqlite::Result<bool> {
        let statement = format!(
            "INSERT INTO {} (key, value) VALUES (?1, CURRENT_TIMESTAMP)
             ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP
             WHERE unixepoch() - unixepoch(value) >= ?2",
            self.table
        );
        // All sidecars tick alike: one that is a moment early may be the first.
        let least = seconds(interval).saturating_sub(1);
        Ok(connection.execute(&statement, params![key, least])? > 0)
    }
}

/// A duration as SQLite counts it.
pub(crate) fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// The name of a table, one that needs no quoting.
///
/// # Errors
/// It does.
pub(crate) fn identifier(
    name: Option<String>,
    default: &str,
    what: &str,
) -> Result<String, InitError> {
    let name = name.unwrap_or_else(|| default.to_owned());
    let valid = |char: char| char.is_ascii_alphanumeric() || char == '_';
    if !name.is_empty() && name.chars().all(valid) {
        return Ok(name);
    }
    Err(InitError::Invalid(format!(
        "invalid identifier for {what}: {name}"
    )))
}
