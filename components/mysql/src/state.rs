//! `state.mysql`, in upstream's tables: a row a key, JSON as such, other bytes as Base64, a random etag a write.
//!
//! A write is one statement that carries its own guard. A transaction is a [plan] of such statements: a guard that does
//! not hold takes back all of them, and keys are visited in their order. Rows that have expired are nobody's, and are
//! [removed](Cleaning) now and then.

mod schema;
mod settings;
mod statements;
mod table;
mod value;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::Conn;
use tokio::time::timeout;
use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_components::state::{
    BulkItem, DeleteRequest, Feature, GetRequest, Item, KeyListing, KeyPage, KeysLike, Operation,
    SetRequest, StateError, StateStore, Transactional,
};
use trilby_components_sql::attempts::Repeat;
use trilby_components_sql::{Cleaning, Page, bulk, bulk::Found, plan};

use crate::connection::{Properties, Target};
use crate::failure::{Failure, Kind};
use crate::pool::{Pool, first_connection, settle};
pub(crate) use settings::Settings;
use table::Table;

/// How long making the tables may take. A large table of an old version takes its time.
const MIGRATION: Duration = Duration::from_secs(10 * 60);
/// How many characters a key may have: the column's.
const LONGEST_KEY: usize = 255;

/// State in a MySQL database.
pub struct MysqlState {
    pool: Pool,
    table: Arc<Table>,
    /// `None` where rows that have expired stay.
    cleaning: Option<Cleaning>,
}

impl MysqlState {
    /// Connects to a server with upstream's database and tables, or makes them.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses, else what is wrong with the metadata.
    pub async fn open(metadata: &Metadata) -> Result<Self, InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        let settings: Settings = rest.decode()?;
        let limit = settings.timeout();
        let (names, mut target) = (settings.names()?, Target::new(&properties, limit)?);
        let away = |address: &str, failure: &Failure| {
            InitError::Unavailable(format!("{} (at {address})", failure.error))
        };
        let first = first_connection(&mut target, limit).await;
        let mut connection = first.map_err(|failure| away(&target.address, &failure))?;
        let making = async {
            schema::make(&mut connection, &names).await?;
            let largest = schema::largest_packet(&mut connection).await?;
            connection.disconnect().await?;
            Ok(largest)
        };
        let made = timeout(MIGRATION, making).await.unwrap_or_else(|_| {
            let reason = format!("tables not made within {MIGRATION:?}");
            Err(Failure::new(Kind::Lost, &reason))
        });
        let largest = made.map_err(|failure| away(&target.address, &failure))?;
        Ok(Self {
            pool: Pool::new(&target, Some(&names.database), limit),
            table: Arc::new(Table::new(&names, largest)),
            cleaning: settings.cleanup().map(Cleaning::new),
        })
    }

    fn look_at_cleaning(&self) {
        if let Some(cleaning) = &self.cleaning {
            cleaning.look();
        }
    }

    /// All of it, or nothing.
    async fn write(&self, operations: &[Operation]) -> Result<(), StateError> {
        let steps = plan::plan(operations, check_key)?;
        self.look_at_cleaning();
        let attempt = || async {
            let mut connection = self.pool.lend().await?;
            let written = self.table.carry_out(&mut connection, &steps).await;
            match &self.cleaning {
                Some(cleaning) if written.is_ok() && cleaning.begins() => {
                    let table = Arc::clone(&self.table);
                    cleaning.start(clean(table, connection, cleaning.interval()));
                    Ok(())
                }
                _ => settle(connection, written).await,
            }
        };
        let written = self.pool.run(Repeat::Unsafe, attempt).await;
        written.map_err(|failure| failure.error)
    }

    async fn find(&self, keys: &[&str]) -> Result<Found, StateError> {
        self.look_at_cleaning();
        let attempt = || async {
            let mut connection = self.pool.lend().await?;
            let found = self.table.find(&mut connection, keys).await;
            settle(connection, found).await
        };
        let found = self.pool.run(Repeat::Safe, attempt).await;
        found.map_err(|failure| failure.error)
    }
}

/// Removes what has expired, over a connection of its own.
async fn clean(table: Arc<Table>, mut connection: Conn, interval: Duration) -> Result<u64, String> {
    let removed = table.clean(&mut connection, interval).await;
    let removed = settle(connection, removed).await;
    removed.map_err(|failure| failure.error.to_string())
}

/// Whether the table can have this key at all.
fn check_key(key: &str) -> Result<(), StateError> {
    match key.chars().count() {
        count if count > LONGEST_KEY => Err(StateError::InvalidRequest(format!(
            "MySQL: key {key}: it has {count} characters, and the table holds keys of up to {LONGEST_KEY}"
        ))),
        _ => Ok(()),
    }
}

#[async_trait]
impl StateStore for MysqlState {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag, Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        check_key(&request.key)?;
        let mut found = self.find(&[&request.key]).await?;
        found.remove(&request.key).transpose()
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.write(&[Operation::Upsert(request)]).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.write(&[Operation::Delete(request)]).await
    }

    /// A query for many keys at once.
    async fn bulk_get(&self, requests: Vec<GetRequest>, _parallelism: usize) -> Vec<BulkItem> {
        let keys = bulk::keys(&requests, check_key);
        let found = match keys.is_empty() {
            true => Ok(HashMap::new()),
            false => self.find(&keys).await,
        };
        bulk::answers(requests, check_key, &found)
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        Some(self)
    }

    async fn close(&self) {
        if let Some(cleaning) = &self.cleaning {
            cleaning.stop();
        }
        self.pool.close().await;
    }
}

#[async_trait]
impl Transactional for MysqlState {
    async fn transact(
        &self,
        operations: Vec<Operation>,
        _metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        if operations.is_empty() {
            return Ok(());
        }
        self.write(&operations).await
    }
}

#[async_trait]
impl KeyListing for MysqlState {
    async fn keys_like(&self, request: KeysLike) -> Result<KeyPage, StateError> {
        let page = Page::new(&request)?;
        let attempt = || async {
            let mut connection = self.pool.lend().await?;
            let found = self.table.keys(&mut connection, &page).await;
            settle(connection, found).await
        };
        let found = self.pool.run(Repeat::Safe, attempt).await;
        found.map_err(|failure| failure.error)
    }
}
