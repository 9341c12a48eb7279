//! The table of notes that components keep beside their own, as upstream's do: how far those are made, when they were
//! last cleaned, and a row that whoever makes them locks.

use std::time::Duration;

use tokio_postgres::types::Type;
use trilby_components::state::StateError;

use crate::failure::{Failure, Kind};
use crate::pool::Loan;

/// The row that is locked.
const LOCK: &str = "lock";
/// Somebody else makes the same table at the same moment: how often that is borne.
const RACES: u32 = 5;

/// The table of notes.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    table: String,
}

impl Notes {
    pub(crate) fn new(table: String) -> Self {
        Self { table }
    }

    /// How many migrations are noted down under `key`; 0 where there is no note, or no table.
    pub(crate) async fn level(&self, loan: &Loan, key: &str) -> Result<usize, Failure> {
        if !exists(loan, &self.table).await? {
            return Ok(0);
        }
        let statement = format!("SELECT value FROM {} WHERE key = $1", self.table);
        let Some(row) = loan.row(&statement, &[(&key, Type::TEXT)]).await? else {
            return Ok(0);
        };
        let text: &str = row.try_get(0)?;
        text.parse().map_err(|_| {
            let table = &self.table;
            let reason =
                format!("table {table}: the note {key} is no number of migrations: {text}");
            Failure::from(StateError::Store(reason))
        })
    }

    /// Makes the table and its row to lock, unless they are there.
    pub(crate) async fn make(&self, loan: &Loan) -> Result<(), Failure> {
        let table = &self.table;
        let make = format!(
            "CREATE TABLE IF NOT EXISTS {table} (key text NOT NULL PRIMARY KEY, value text NOT NULL);
             INSERT INTO {table} (key, value) VALUES ('{LOCK}', '{LOCK}') ON CONFLICT (key) DO NOTHING"
        );
        let mut races = 0;
        loop {
            match loan.batch(&make).await {
                // Two that make it at once meet in the server's own catalogue, which knows no IF NOT EXISTS.
                Err(Failure::Server {
                    kind: Kind::Taken, ..
                }) if races < RACES => races += 1,
                outcome => return outcome,
            }
        }
    }

    /// Waits until nobody else makes tables, and lets nobody else until the transaction ends.
    pub(crate) async fn lock(&self, loan: &Loan) -> Result<(), Failure> {
        let statement = format!("SELECT value FROM {} WHERE key = $1 FOR UPDATE", self.table);
        loan.rows(&statement, &[(&LOCK, Type::TEXT)])
            .await
            .map(drop)
    }

    /// Notes down under `key` how many migrations there are.
    pub(crate) async fn note(&self, loan: &Loan, key: &str, level: usize) -> Result<(), Failure> {
        let statement = format!(
            "INSERT INTO {} (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            self.table
        );
        let level = level.to_string();
        let parameters = [(&key as _, Type::TEXT), (&level as _, Type::TEXT)];
        loan.change(&statement, &parameters).await.map(drop)
    }

    /// Whether nobody noted down under `key` that he did it within `interval`; notes it down then.
    pub(crate) async fn is_due(
        &self,
        loan: &Loan,
        key: &str,
        interval: Duration,
    ) -> Result<bool, Failure> {
        let statement = format!(
            "INSERT INTO {0} AS t (key, value) VALUES ($1, now()::text)
             ON CONFLICT (key) DO UPDATE SET value = now()::text
             WHERE (extract(epoch FROM now() - t.value::timestamptz) * 1000)::bigint > $2",
            self.table
        );
        // All sidecars tick alike: one that is a moment early may be the first.
        let least = interval.as_millis().saturating_sub(100);
        let least = i64::try_from(least).unwrap_or(i64::MAX);
        let parameters = [(&key as _, Type::TEXT), (&least as _, Type::INT8)];
        Ok(loan.change(&statement, &parameters).await? > 0)
    }
}

/// Whether there is a table of this name.
pub(crate) async fn exists(loan: &Loan, table: &str) -> Result<bool, Failure> {
    // With a look at the catalogue itself: alone, the function may not know yet what others did in the meantime.
    let statement = "SELECT count(*) > 0 FROM pg_class WHERE oid = to_regclass($1)";
    let row = loan.row(statement, &[(&table, Type::TEXT)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}
