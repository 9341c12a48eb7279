//! Name resolution by a table of hosts that sidecars keep together.
//!
//! Each sidecar renews its row before it becomes old, and finds the rows of others that are not. What upstream's
//! resolver does not do: rows say their namespace, so that applications of the same id in two namespaces are told
//! apart (a row of upstream's sidecar has none, and is found from every namespace); a lost row is written again.

mod settings;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use trilby_components::name_resolution::{Instance, NameResolver, Query, ResolveError};
use trilby_components::registry::InitError;

use crate::database::{Database, DatabaseError};
use settings::Settings;
use table::{Row, Table};

/// Finds sidecars in a SQLite database.
#[derive(Debug)]
pub struct SqliteResolver {
    database: Database,
    table: Table,
    own: Row,
    settings: Settings,
    withdrawn: AtomicBool,
}

impl SqliteResolver {
    /// Opens the database, makes its tables, and registers `instance`.
    ///
    /// # Errors
    /// The settings are wrong, or the database cannot be written.
    pub async fn new(instance: &Instance, settings: &Value) -> Result<Self, InitError> {
        let settings = Settings::new(settings)?;
        if settings.target.is_memory() {
            tracing::warn!(
                "names are resolved by a database in memory: other sidecars do not see it"
            );
        } else {
            tracing::info!(database = %settings.target, "names are resolved by SQLite");
        }
        let table = Table::new(&settings);
        let own = Row::new(instance);
        let (migrated, row) = (table.clone(), own.clone());
        let database = Database::open(settings.target.clone(), move |connection| {
            migrated.migrate(connection)?;
            migrated.register(connection, &row)
        });
        let database = database.await.map_err(|error| {
            InitError::Unavailable(format!("SQLite database {}: {error}", settings.target))
        })?;
        Ok(Self {
            database,
            table,
            own,
            settings,
            withdrawn: AtomicBool::new(false),
        })
    }

    async fn renew(&self) {
        if self.withdrawn.load(Ordering::Acquire) {
            return;
        }
        let (table, own) = (self.table.clone(), self.own.clone());
        let renewed = self.database.run(move |connection| {
            let renewed = table.renew(connection, &own)?;
            if !renewed {
                table.register(connection, &own)?;
            }
            Ok(renewed)
        });
        match renewed.await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                address = %self.own.address,
                "the registration was lost, and is written again: another sidecar may have the same address"
            ),
            Err(error) => tracing::error!(%error, "the registration was not renewed"),
        }
    }

    async fn clean(&self) {
        let table = self.table.clone();
        let cleaned = self.database.run(move |connection| table.clean(connection));
        match cleaned.await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old registrations removed"),
            Err(error) => tracing::warn!(%error, "old registrations not removed"),
        }
    }
}

#[async_trait]
impl NameResolver for SqliteResolver {
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError> {
        let (app_id, namespace) = (query.app_id.to_owned(), query.namespace.to_owned());
        let table = self.table.clone();
        let found = self
            .database
            .run(move |connection| table.find(connection, &app_id, &namespace));
        match found.await {
            Ok(Some(address)) => Ok(address),
            Ok(None) => Err(ResolveError(format!(
                "no host found with the given ID: {}",
                query.app_id
            ))),
            Err(error) => Err(ResolveError(format!("failed to look up address: {error}"))),
        }
    }

    async fn keep(&self) -> ResolveError {
        let every = |period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let mut renewing = every(self.settings.renewal());
        let mut cleaning = self.settings.cleanup.map(every);
        loop {
            tokio::select! {
                _ = renewing.tick() => self.renew().await,
                () = tick(cleaning.as_mut()) => self.clean().await,
            }
        }
    }

    async fn withdraw(&self) {
        if self.withdrawn.swap(true, Ordering::AcqRel) {
            return;
        }
        let (table, own) = (self.table.clone(), self.own.clone());
        let removed = self
            .database
            .run(move |connection| table.remove(connection, &own));
        match removed.await {
            Ok(()) | Err(DatabaseError::Ending) => {}
            Err(error) => tracing::warn!(%error, "failed to unregister host"),
        }
    }
}

async fn tick(interval: Option<&mut tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}
