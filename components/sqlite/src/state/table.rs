//! The table of values and what is done with it. Everything here blocks.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use trilby_components::state::{
    Concurrency, Item, KeysLike, LikePattern, Operation, SetRequest, StateError, Token, Ttl, Value,
};
use uuid::Uuid;

use crate::notes::{Notes, seconds};

/// Under which key of the notes the number of migrations stands.
const MIGRATIONS: &str = "migrations";
/// Under which key the time of the last cleaning stands.
const LAST_CLEANUP: &str = "last-cleanup";
/// Migrations that there are.
const LATEST: u32 = 1;
/// Rows that are there for callers.
const LIVE: &str = "(expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)";

/// The statements over one table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    name: String,
    notes: Notes,
}

impl Table {
    pub(super) fn new(name: String, notes: Notes) -> Self {
        Self { name, notes }
    }

    /// Makes the tables, unless they are there. Upstream's sidecar has one note for all tables of a file: whether this
    /// one is there, only the file itself says.
    pub(super) fn migrate(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let make = format!(
            "CREATE TABLE IF NOT EXISTS {} (
                key TEXT NOT NULL PRIMARY KEY,
                value TEXT NOT NULL,
                is_binary BOOLEAN NOT NULL,
                etag TEXT NOT NULL,
                expiration_time TIMESTAMP DEFAULT NULL,
                update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
            )",
            self.name
        );
        let migration = (MIGRATIONS, LATEST);
        self.notes.migrate(connection, migration, |_| Ok(()))?;
        connection.execute_batch(&make)
    }

    /// The value of a key; the inner error if it is not as a sidecar writes it.
    pub(super) fn get(
        &self,
        connection: &Connection,
        key: &str,
    ) -> rusqlite::Result<Result<Option<Item>, StateError>> {
        let statement = format!(
            "SELECT value, is_binary, etag, unixepoch(expiration_time) FROM {} WHERE key = ? AND {LIVE}",
            self.name
        );
        let mut statement = connection.prepare_cached(&statement)?;
        let found = statement
            .query_row([key], |row| item(key, row))
            .optional()?;
        Ok(found.transpose())
    }

    /// Whether the row is as the writer wants it to be.
    pub(super) fn judge(
        &self,
        connection: &Connection,
        operation: &Operation,
    ) -> rusqlite::Result<Result<(), StateError>> {
        let (etag, creates) = match operation {
            Operation::Upsert(set) => (
                &set.etag,
                set.options.concurrency == Concurrency::FirstWrite,
            ),
            Operation::Delete(delete) => (&delete.etag, false),
        };
        let wanted = etag.as_deref().filter(|etag| !etag.is_empty());
        if wanted.is_none() && !creates {
            return Ok(Ok(()));
        }
        let key = operation.key();
        let statement = format!("SELECT etag FROM {} WHERE key = ? AND {LIVE}", self.name);
        let mut statement = connection.prepare_cached(&statement)?;
        let current: Option<String> = statement.query_row([key], |row| row.get(0)).optional()?;
        Ok(match (wanted, current) {
            (None, None) => Ok(()),
            (Some(wanted), Some(current)) if current == wanted => Ok(()),
            (None, Some(_)) => Err(mismatch(key, "it exists and no etag was passed")),
            (Some(_), None) => Err(mismatch(key, "it does not exist, or has expired")),
            (Some(_), Some(_)) => Err(mismatch(key, "it was written since")),
        })
    }

    /// Carries out what was judged.
    pub(super) fn apply(
        &self,
        connection: &Connection,
        operation: &Operation,
    ) -> rusqlite::Result<()> {
        match operation {
            Operation::Upsert(set) => self.put(connection, set),
            Operation::Delete(delete) => {
                let statement = format!("DELETE FROM {} WHERE key = ?", self.name);
                let mut statement = connection.prepare_cached(&statement)?;
                statement.execute([&delete.key]).map(drop)
            }
        }
    }

    fn put(&self, connection: &Connection, set: &SetRequest) -> rusqlite::Result<()> {
        let life = match set.ttl {
            Some(Ttl::After(life)) => Some(format!("+{} seconds", seconds(life))),
            Some(Ttl::Never) | None => None,
        };
        // Without a modifier, there is no time at all: DATETIME of nothing is nothing.
        let statement = format!(
            "INSERT OR REPLACE INTO {} (key, value, is_binary, etag, update_time, expiration_time)
             VALUES (?1, ?2, ?3, ?4, CURRENT_TIMESTAMP, DATETIME(CURRENT_TIMESTAMP, ?5))",
            self.name
        );
        let mut statement = connection.prepare_cached(&statement)?;
        let etag = Uuid::new_v4().to_string();
        let written = match text(&set.value) {
            Some(text) => statement.execute(params![set.key, text, false, etag, life]),
            None => {
                let text = STANDARD.encode(set.value.bytes());
                statement.execute(params![set.key, text, true, etag, life])
            }
        };
        written.map(drop)
    }

    /// The keys of the page, and one more.
    pub(super) fn keys(
        &self,
        connection: &Connection,
        request: &KeysLike,
    ) -> rusqlite::Result<Vec<String>> {
        let statement = format!(
            "SELECT key FROM {} WHERE key GLOB ?1 AND key >= ?2 AND {LIVE} ORDER BY key LIMIT ?3",
            self.name
        );
        let from = request.token.as_deref().unwrap_or_default();
        let most = request
            .page_size
            .map_or(-1, |size| i64::from(size.max(1)) + 1);
        let mut statement = connection.prepare_cached(&statement)?;
        let keys = statement.query_map(params![glob(&request.pattern), from, most], |row| {
            row.get(0)
        })?;
        keys.collect()
    }

    /// Removes what has expired, unless a sidecar did so within `interval`.
    pub(super) fn clean(
        &self,
        connection: &Connection,
        interval: Duration,
    ) -> rusqlite::Result<()> {
        if !self.notes.is_due(connection, LAST_CLEANUP, interval)? {
            return Ok(());
        }
        let statement = format!("DELETE FROM {} WHERE NOT {LIVE}", self.name);
        let removed = connection.execute(&statement, [])?;
        if removed > 0 {
            tracing::info!(removed, "values that had expired removed");
        }
        Ok(())
    }
}

fn mismatch(key: &str, reason: &str) -> StateError {
    StateError::EtagMismatch(format!("key {key}: {reason}"))
}

/// JSON, which is kept as it is.
fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Json(bytes) => std::str::from_utf8(bytes).ok(),
        Value::Binary(_) => None,
    }
}

fn item(key: &str, row: &Row<'_>) -> rusqlite::Result<Result<Item, StateError>> {
    let stored = row.get_ref(0)?.as_bytes_or_null()?.unwrap_or_default();
    let binary: bool = row.get(1)?;
    let etag: String = row.get(2)?;
    let expires: Option<i64> = row.get(3)?;
    let value = match binary {
        false => Bytes::copy_from_slice(stored),
        true => match STANDARD.decode(stored) {
            Ok(value) => value.into(),
            Err(error) => {
                let reason = format!("the value of key {key} is no Base64: {error}");
                return Ok(Err(StateError::Store(reason)));
            }
        },
    };
    Ok(Ok(Item {
        value,
        etag: Some(etag),
        expires_at: expires.and_then(|second| Timestamp::from_second(second).ok()),
    }))
}

/// The pattern in the language of `GLOB`, which tells upper from lower case, as `LIKE` does not.
fn glob(pattern: &LikePattern) -> String {
    let mut glob = String::new();
    for token in pattern.tokens() {
        match token {
            Token::Any => glob.push('*'),
            Token::One => glob.push('?'),
            Token::Literal(special @ ('*' | '?' | '[')) => {
                glob.push('[');
                glob.push(*special);
                glob.push(']');
            }
            Token::Literal(plain) => glob.push(*plain),
        }
    }
    glob
}
