//! The database and its tables are made as upstream's sidecars make them, and what older ones left is brought up to
//! date. Many may do so at once: what is there already was made by another.
//!
//! The one difference is the collation of the keys. Upstream leaves it to the database, whose default takes keys for the
//! same that differ by case, accents or blanks at their end; either sidecar works on a table with either collation.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Params, Value};

use super::settings::Names;
use crate::failure::{Failure, Kind};

/// Tells keys apart by every character, in the words of MariaDB and of MySQL 8; older ones use the charset's own.
const EXACT: &str = "CHARACTER SET utf8mb4 /*M!100200 COLLATE utf8mb4_nopad_bin */ /*!80017 COLLATE utf8mb4_0900_bin */";

/// Makes what is not there. Who may only read and write values can use what is there already.
pub(super) async fn make(connection: &mut Conn, names: &Names) -> Result<(), Failure> {
    let database = &names.database;
    let exists = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?";
    if count(connection, exists, &[database]).await? == 0 {
        let statement = format!("CREATE DATABASE IF NOT EXISTS {database}");
        alter(connection, &statement).await?;
    }
    connection.query_drop(format!("USE {database}")).await?;
    // The time of what follows is that of all of it together.
    let unlimited = "SET time_zone = '+00:00' /*M!100101 , max_statement_time = 0 */";
    connection.query_drop(unlimited).await?;
    if !has_table(connection, names, &names.table).await? {
        alter(connection, &values(&names.table)).await?;
    }
    for (column, definition) in ADDED {
        if !has_column(connection, names, column).await? {
            let table = &names.table;
            let statement = format!("ALTER TABLE {table} ADD COLUMN {column} {definition}");
            alter(connection, &statement).await?;
        }
    }
    if !has_table(connection, names, &names.notes).await? {
        let notes = &names.notes;
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS {notes} (id VARCHAR(255) NOT NULL PRIMARY KEY, value TEXT NOT NULL)"
        );
        alter(connection, &statement).await?;
    }
    Ok(())
}

/// Columns that older tables have not, each with its index.
const ADDED: [(&str, &str); 2] = [
    (
        "expiredate",
        "TIMESTAMP NULL, ADD INDEX expiredate_idx (expiredate)",
    ),
    (
        "row_id",
        "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, ADD UNIQUE KEY row_id_uidx (row_id)",
    ),
];

fn values(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
            id VARCHAR(255) {EXACT} NOT NULL PRIMARY KEY,
            value JSON NOT NULL,
            isbinary BOOLEAN NOT NULL,
            insertDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
            updateDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
            eTag VARCHAR(36) NOT NULL,
            expiredate TIMESTAMP NULL,
            row_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
            INDEX expiredate_idx (expiredate),
            UNIQUE KEY row_id_uidx (row_id)
        )"
    )
}

/// Carries out a statement, unless another sidecar was first.
async fn alter(connection: &mut Conn, statement: &str) -> Result<(), Failure> {
    match connection
        .query_drop(statement)
        .await
        .map_err(Failure::from)
    {
        Ok(()) => {
            tracing::info!(statement, "database altered");
            Ok(())
        }
        Err(failure) if failure.kind == Kind::Exists => Ok(()),
        refused => refused,
    }
}

/// How many bytes the server takes in one piece.
pub(super) async fn largest_packet(connection: &mut Conn) -> Result<u64, Failure> {
    count(connection, "SELECT @@max_allowed_packet", &[]).await
}

async fn has_table(connection: &mut Conn, names: &Names, table: &str) -> Result<bool, Failure> {
    let statement =
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
    Ok(count(connection, statement, &[&names.database, table]).await? > 0)
}

async fn has_column(connection: &mut Conn, names: &Names, column: &str) -> Result<bool, Failure> {
    let statement = "SELECT COUNT(*) FROM information_schema.columns
        WHERE table_schema = ? AND table_name = ? AND column_name = ?";
    let of = [names.database.as_str(), &names.table, column];
    Ok(count(connection, statement, &of).await? > 0)
}

async fn count(connection: &mut Conn, statement: &str, of: &[&str]) -> Result<u64, Failure> {
    let of = of.iter().map(|value| Value::from(*value)).collect();
    let found: Option<u64> = connection
        .exec_first(statement, Params::Positional(of))
        .await?;
    Ok(found.unwrap_or(0))
}
