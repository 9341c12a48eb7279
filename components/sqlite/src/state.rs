//! `state.sqlite`, in upstream's table: a row a key, JSON as its text, other bytes as Base64, a random etag a write.
//!
//! Every write, single or transactional, is one transaction: it judges all etags, then applies everything, so a failure
//! leaves nothing behind. Rows that have expired are nobody's, and are removed by a write now and then: also by
//! default, where upstream leaves them for ever. Keys are listed in their order, so that a page misses nothing that
//! stays.

mod settings;
mod table;

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::time::Instant;
use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_components::state::{
    BulkItem, DeleteRequest, Feature, GetRequest, Item, KeyListing, KeyPage, KeysLike, Operation,
    SetRequest, StateError, StateStore, Transactional,
};

use crate::database::{Database, DatabaseError};
pub(crate) use settings::Settings;
use settings::Store;
use table::Table;

/// State in a SQLite database.
#[derive(Debug)]
pub struct SqliteState {
    database: Database,
    table: Table,
    /// How often rows that have expired are removed, and when next; `None` for never.
    cleanup: Option<(Duration, Mutex<Instant>)>,
}

impl SqliteState {
    /// Opens the database and makes its tables.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the database cannot be written, else what is wrong with the metadata.
    pub async fn open(metadata: &Metadata) -> Result<Self, InitError> {
        let Store {
            target,
            table,
            cleanup,
        } = Store::new(metadata)?;
        if target.is_memory() {
            tracing::warn!("state is kept by a database in memory: it ends with the sidecar");
        }
        let made = table.clone();
        let file = target.to_string();
        let database = Database::open(target, move |connection| made.migrate(connection));
        let database = database
            .await
            .map_err(|error| InitError::Unavailable(format!("SQLite database {file}: {error}")))?;
        let cleanup = cleanup.map(|interval| (interval, Mutex::new(Instant::now())));
        Ok(Self {
            database,
            table,
            cleanup,
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Table, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        let table = self.table.clone();
        let read = self
            .database
            .run(move |connection| work(&table, connection));
        read.await.map_err(failure)
    }

    /// All of it, or nothing.
    async fn write(&self, operations: Vec<Operation>) -> Result<(), StateError> {
        let table = self.table.clone();
        let cleanup = self.due_cleanup();
        let write = self.database.run(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for operation in &operations {
                if let Err(refusal) = table.judge(&transaction, operation)? {
                    return Ok(Err(refusal));
                }
            }
            for operation in &operations {
                table.apply(&transaction, operation)?;
            }
            transaction.commit()?;
            // Not part of the write: the next time is soon enough for what fails here.
            if let Some(interval) = cleanup
                && let Err(error) = table.clean(connection, interval)
            {
                tracing::warn!(%error, "values that had expired not removed");
            }
            Ok(Ok(()))
        });
        write.await.map_err(failure)?
    }

    /// The interval, if it is over: it begins anew then.
    fn due_cleanup(&self) -> Option<Duration> {
        let (interval, due) = self.cleanup.as_ref()?;
        let (mut due, now) = (due.lock(), Instant::now());
        let is_due = *due <= now;
        if is_due {
            *due = now + *interval;
        }
        is_due.then_some(*interval)
    }
}

/// What it means to the caller.
fn failure(error: DatabaseError) -> StateError {
    let transient = match &error {
        DatabaseError::Timeout(_) | DatabaseError::Ending => true,
        DatabaseError::Sqlite(error) => matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::DiskFull
                    | ErrorCode::OperationInterrupted
            )
        ),
    };
    let text = format!("SQLite: {error}");
    match transient {
        true => StateError::Unavailable(text),
        false => StateError::Store(text),
    }
}

#[async_trait]
impl StateStore for SqliteState {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag, Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let work =
            move |table: &Table, connection: &Connection| table.get(connection, &request.key);
        self.read(work).await?
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.write(vec![Operation::Upsert(request)]).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.write(vec![Operation::Delete(request)]).await
    }

    /// One visit of the database.
    async fn bulk_get(&self, requests: Vec<GetRequest>, _parallelism: usize) -> Vec<BulkItem> {
        let keys: Vec<String> = requests.into_iter().map(|request| request.key).collect();
        let asked = keys.clone();
        let read = self.read(move |table, connection| {
            let read = asked.iter().map(|key| table.get(connection, key));
            read.collect::<rusqlite::Result<Vec<_>>>()
        });
        let item = |(key, result)| BulkItem { key, result };
        match read.await {
            Ok(results) => keys.into_iter().zip(results).map(item).collect(),
            Err(error) => keys
                .into_iter()
                .map(|key| item((key, Err(error.clone()))))
                .collect(),
        }
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        Some(self)
    }

    async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl Transactional for SqliteState {
    async fn transact(
        &self,
        operations: Vec<Operation>,
        _metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        if operations.is_empty() {
            return Ok(());
        }
        self.write(operations).await
    }
}

#[async_trait]
impl KeyListing for SqliteState {
    async fn keys_like(&self, request: KeysLike) -> Result<KeyPage, StateError> {
        let asked = request.clone();
        let found = self.read(move |table, connection| table.keys(connection, &asked));
        Ok(request.page(found.await?))
    }
}
