//! The table of hosts and what is done with it. Everything here blocks.

use std::net::IpAddr;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use trilby_components::name_resolution::Instance;
use uuid::Uuid;

use super::settings::Settings;
use crate::notes::{Notes, seconds};

/// Under which key of the metadata table the number of migrations stands.
const MIGRATIONS: &str = "nr-migrations";
/// Under which key the time of the last cleaning stands.
const LAST_CLEANUP: &str = "nr-last-cleanup";
/// Migrations that there are.
const LATEST: u32 = 1;

/// One sidecar.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    id: String,
    /// `host:port`.
    pub(crate) address: String,
    app_id: String,
    namespace: String,
}

impl Row {
    pub(crate) fn new(instance: &Instance) -> Self {
        let port = instance.internal_port;
        let address = match instance.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(host)) => format!("[{host}]:{port}"),
            _ => format!("{}:{port}", instance.host),
        };
        Self {
            id: Uuid::new_v4().to_string(),
            address,
            app_id: instance.app_id.clone(),
            namespace: instance.namespace.clone(),
        }
    }
}

/// The statements over one table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    hosts: String,
    notes: Notes,
    /// How old a row may be, in seconds.
    lifetime: i64,
    cleanup: Duration,
}

impl Table {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            hosts: settings.table.clone(),
            notes: Notes::new(settings.metadata_table.clone()),
            lifetime: seconds(settings.update),
            cleanup: settings.cleanup.unwrap_or_default(),
        }
    }

    /// Makes the tables, unless another sidecar did.
    pub(crate) fn migrate(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let hosts = &self.hosts;
        self.notes
            .migrate(connection, (MIGRATIONS, LATEST), |transaction| {
                transaction.execute_batch(&format!(
                    "CREATE TABLE {hosts} (
                    registration_id TEXT NOT NULL PRIMARY KEY,
                    address TEXT NOT NULL,
                    app_id TEXT NOT NULL,
                    namespace TEXT NOT NULL,
                    last_update INTEGER NOT NULL
                );
                CREATE UNIQUE INDEX {hosts}_address_idx ON {hosts} (address);
                CREATE INDEX {hosts}_last_update_idx ON {hosts} (last_update);"
                ))
            })
    }

    /// Writes a row, over any other of the same address.
    pub(crate) fn register(&self, connection: &Connection, row: &Row) -> rusqlite::Result<()> {
        let statement = format!(
            "REPLACE INTO {} (registration_id, address, app_id, namespace, last_update)
             VALUES (?, ?, ?, ?, unixepoch())",
            self.hosts
        );
        let row = params![row.id, row.address, row.app_id, row.namespace];
        connection.execute(&statement, row).map(drop)
    }

    /// Makes a row young again; whether it is there.
    pub(crate) fn renew(&self, connection: &Connection, row: &Row) -> rusqlite::Result<bool> {
        let statement = format!(
            "UPDATE {} SET last_update = unixepoch() WHERE registration_id = ? AND address = ?",
            self.hosts
        );
        let renewed = connection.execute(&statement, [&row.id, &row.address])?;
        Ok(renewed > 0)
    }

    /// Removes a row.
    pub(crate) fn remove(&self, connection: &Connection, row: &Row) -> rusqlite::Result<()> {
        let statement = format!(
            "DELETE FROM {} WHERE registration_id = ? AND address = ?",
            self.hosts
        );
        connection
            .execute(&statement, [&row.id, &row.address])
            .map(drop)
    }

    /// The address of a young row, one of several at random.
    pub(crate) fn find(
        &self,
        connection: &Connection,
        app_id: &str,
        namespace: &str,
    ) -> rusqlite::Result<Option<String>> {
        let statement = format!(
            "SELECT address FROM {} WHERE app_id = ?1 AND namespace IN (?2, '')
             AND unixepoch() - last_update < ?3 ORDER BY random() LIMIT 1",
            self.hosts
        );
        let mut statement = connection.prepare_cached(&statement)?;
        let found =
            statement.query_row(params![app_id, namespace, self.lifetime], |row| row.get(0));
        found.optional()
    }

    /// Removes old rows, unless a sidecar did so lately; how many.
    pub(crate) fn clean(&self, connection: &Connection) -> rusqlite::Result<usize> {
        if !self.notes.is_due(connection, LAST_CLEANUP, self.cleanup)? {
            return Ok(0);
        }
        let statement = format!(
            "DELETE FROM {} WHERE unixepoch() - last_update >= ?",
            self.hosts
        );
        connection.execute(&statement, [self.lifetime])
    }
}
