//! The table in CockroachDB.
//!
//! What a statement changes in a table there, the next one of the same transaction does not see. So each is one by
//! itself, and finds out what is there already; nothing is noted down, as upstream's sidecars note nothing down.

use tokio_postgres::types::Type;
use trilby_components::state::StateError;

use super::super::table::Table;
use crate::failure::Failure;
use crate::notes::exists;
use crate::pool::Loan;

/// Makes the table, unless it is there, and brings one of an older sidecar up to date. Who may only read and write values
/// can use what is there already.
pub(super) async fn carry_out(loan: &Loan, table: &Table) -> Result<(), Failure> {
    let name = &table.name;
    if is_complete(loan, name).await? {
        return Ok(());
    }
    table.notes.make(loan).await?;
    let is_new = !exists(loan, name).await?;
    loan.batch(&create(name)).await?;
    let (expiry, rows) = indexes(loan, name).await?;
    let each = match is_new {
        true => Vec::from([index_expiry(name, &expiry)]),
        false => complete(name, &expiry, &rows),
    };
    for statement in each {
        loan.batch(&statement).await?;
    }
    tracing::info!(table = name, "table made");
    Ok(())
}

/// Whether it has the columns that were added in the course of time.
async fn is_complete(loan: &Loan, table: &str) -> Result<bool, Failure> {
    let statement = "SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass($1)
        AND (attname = 'expiredate' OR attname = 'row_id' AND attnotnull)";
    let row = loan.row(statement, &[(&table, Type::TEXT)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

fn create(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
            key text NOT NULL PRIMARY KEY,
            value jsonb NOT NULL,
            isbinary boolean NOT NULL,
            etag int,
            insertdate timestamp with time zone NOT NULL DEFAULT now(),
            updatedate timestamp with time zone NULL,
            expiredate timestamp with time zone NULL,
            row_id int8 NOT NULL DEFAULT unique_rowid(),
            UNIQUE (row_id)
        )"
    )
}

/// The quoted names of the indexes over expiries and over numbers of rows.
async fn indexes(loan: &Loan, table: &str) -> Result<(String, String), Failure> {
    let statement =
        "SELECT quote_ident(relname || '_expiredate_idx'), quote_ident(relname || '_row_id_uidx')
        FROM pg_class WHERE oid = to_regclass($1)";
    let Some(row) = loan.row(statement, &[(&table, Type::TEXT)]).await? else {
        let reason = format!("table {table} is not there, though it was made");
        return Err(StateError::Store(reason).into());
    };
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn index_expiry(table: &str, index: &str) -> String {
    format!("CREATE INDEX IF NOT EXISTS {index} ON {table} (expiredate)")
}

/// What an older table lacks.
fn complete(table: &str, expiry: &str, rows: &str) -> Vec<String> {
    vec![
        format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS expiredate timestamp with time zone"),
        index_expiry(table, expiry),
        format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS row_id int8"),
        format!("ALTER TABLE {table} ALTER COLUMN row_id SET DEFAULT unique_rowid()"),
        format!("UPDATE {table} SET row_id = unique_rowid() WHERE row_id IS NULL"),
        format!("ALTER TABLE {table} ALTER COLUMN row_id SET NOT NULL"),
        format!("CREATE UNIQUE INDEX IF NOT EXISTS {rows} ON {table} (row_id)"),
    ]
}
