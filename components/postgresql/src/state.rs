//! `state.postgresql`, v1 and v2, and `state.cockroachdb` v1, in upstream's tables.
//!
//! v1 keeps JSON as documents (`jsonb`), so it comes back with the same meaning but in PostgreSQL's words, and other
//! bytes as Base64; its etag is `xmin`, the transaction that wrote the row, and in CockroachDB a number that each write
//! raises. v2 keeps bytes, and a random etag a write.
//!
//! A write is one statement that carries its own guard. A transaction is a [plan](mod@plan) of such statements, sent together: a
//! guard that does not hold takes back all of them, and keys are visited in their order, so that two transactions never
//! wait for each other. Rows that have expired are nobody's, and are [removed](Cleaning) now and then.

mod layout;
mod migrations;
mod plan;
mod query;
mod settings;
mod table;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_components::state::{
    BulkItem, DeleteRequest, Feature, GetRequest, Item, KeyListing, KeyPage, KeysLike, Operation,
    QueryPage, QueryRequest, Queryable, SetRequest, StateError, StateStore, Transactional,
};
use trilby_components_sql::{Cleaning, Page, bulk};

use crate::connection::{Properties, Target};
use crate::failure::Failure;
use crate::pool::{Loan, Pool, Repeat};
use layout::Layout;
use plan::plan;
pub(crate) use settings::{
    First, LEAST_TIMEOUT, Second, Settings, TIMEOUT, check_name, request_limit,
};
use table::Table;

/// How long making the tables may take, waiting for others that make them included. A large table of an old version
/// takes its time.
const MIGRATION: Duration = Duration::from_secs(10 * 60);

/// State in a PostgreSQL database.
pub struct PostgresState {
    pool: Pool,
    table: Arc<Table>,
    /// `None` where rows that have expired stay.
    cleaning: Option<Cleaning>,
}

impl PostgresState {
    /// Connects to a database with the tables of v1, or makes them.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the database is away or refuses, else what is wrong with the metadata.
    pub async fn first(metadata: &Metadata) -> Result<Self, InitError> {
        Self::documents(Layout::Documents, metadata).await
    }

    /// Connects to a database with the tables of v1 in CockroachDB, or makes them.
    ///
    /// # Errors
    /// As [`PostgresState::first`].
    pub async fn cockroach(metadata: &Metadata) -> Result<Self, InitError> {
        Self::documents(Layout::Counted, metadata).await
    }

    async fn documents(layout: Layout, metadata: &Metadata) -> Result<Self, InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        let (settings, rest) = rest.split::<Settings>()?;
        let table = rest.decode::<First>()?.table(layout, settings.notes()?)?;
        Self::open(&properties, &settings, table).await
    }

    /// Connects to a database with the tables of v2, or makes them.
    ///
    /// # Errors
    /// As [`PostgresState::first`].
    pub async fn second(metadata: &Metadata) -> Result<Self, InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        let (settings, rest) = rest.split::<Settings>()?;
        let table = rest.decode::<Second>()?.table(settings.notes()?)?;
        Self::open(&properties, &settings, table).await
    }

    async fn open(
        properties: &Properties,
        settings: &Settings,
        table: Table,
    ) -> Result<Self, InitError> {
        let pool = Pool::new(Target::new(properties)?, settings.timeout()?);
        make(&pool, &table).await.map_err(|failure| {
            let address = pool.address();
            let reason = failure.reason();
            InitError::Unavailable(format!("PostgreSQL at {address}: {reason}"))
        })?;
        Ok(Self {
            pool,
            table: Arc::new(table),
            cleaning: settings.cleanup().map(Cleaning::new),
        })
    }

    /// All of it, or nothing.
    async fn write(&self, operations: &[Operation]) -> Result<(), StateError> {
        let steps = plan(operations)?;
        self.look_at_cleaning();
        let attempt = || async {
            let loan = self.pool.lend().await?;
            match self.table.carry_out(&loan, &steps).await {
                Ok(()) => {
                    match &self.cleaning {
                        Some(cleaning) if cleaning.begins() => {
                            let table = Arc::clone(&self.table);
                            cleaning.start(clean(table, loan, cleaning.interval()));
                        }
                        _ => loan.give_back(),
                    }
                    Ok(())
                }
                failed => loan.settle(failed),
            }
        };
        let written = self.pool.run(Repeat::Unsafe, attempt).await;
        written.map_err(Failure::into_state)
    }

    fn look_at_cleaning(&self) {
        if let Some(cleaning) = &self.cleaning {
            cleaning.look();
        }
    }

    async fn find(
        &self,
        keys: &[&str],
    ) -> Result<HashMap<String, Result<Item, StateError>>, StateError> {
        self.look_at_cleaning();
        let attempt = || async {
            let loan = self.pool.lend().await?;
            let found = self.table.find(&loan, keys).await;
            loan.settle(found)
        };
        let found = self.pool.run(Repeat::Safe, attempt).await;
        found.map_err(Failure::into_state)
    }
}

/// Makes the tables. The connection ends with a failure, and so does what was begun over it.
async fn make(pool: &Pool, table: &Table) -> Result<(), Failure> {
    let making = async {
        let loan = pool.run(Repeat::Safe, || pool.lend()).await?;
        migrations::carry_out(&loan, table).await?;
        loan.give_back();
        Ok(())
    };
    let made = timeout(MIGRATION, making).await;
    made.unwrap_or_else(|_| {
        let reason = format!("tables not made within {MIGRATION:?}");
        Err(StateError::Unavailable(reason).into())
    })
}

/// Removes what has expired, over a connection of its own.
async fn clean(table: Arc<Table>, loan: Loan, interval: Duration) -> Result<u64, String> {
    let removed = table.clean(&loan, interval).await;
    // A connection whose cleaning failed ends with it, and so does what was begun over it.
    let removed = removed.map_err(Failure::reason)?;
    loan.give_back();
    Ok(removed)
}

#[async_trait]
impl StateStore for PostgresState {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag, Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        plan::check_key(&request.key)?;
        let mut found = self.find(&[&request.key]).await?;
        found.remove(&request.key).transpose()
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.write(&[Operation::Upsert(request)]).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.write(&[Operation::Delete(request)]).await
    }

    /// One query.
    async fn bulk_get(&self, requests: Vec<GetRequest>, _parallelism: usize) -> Vec<BulkItem> {
        let keys = bulk::keys(&requests, plan::check_key);
        let found = match keys.is_empty() {
            true => Ok(HashMap::new()),
            false => self.find(&keys).await,
        };
        bulk::answers(requests, plan::check_key, &found)
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        Some(self)
    }

    /// Only documents can be looked into.
    fn queryable(&self) -> Option<&dyn Queryable> {
        let documents = self.table.layout.has_documents();
        documents.then_some(self as &dyn Queryable)
    }

    async fn close(&self) {
        if let Some(cleaning) = &self.cleaning {
            cleaning.stop();
        }
        self.pool.close();
    }
}

#[async_trait]
impl Transactional for PostgresState {
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
impl KeyListing for PostgresState {
    async fn keys_like(&self, request: KeysLike) -> Result<KeyPage, StateError> {
        let page = Page::new(&request)?;
        plan::check_key(&page.pattern)?;
        let attempt = || async {
            let loan = self.pool.lend().await?;
            let found = self.table.keys(&loan, &page).await;
            loan.settle(found)
        };
        let found = self.pool.run(Repeat::Safe, attempt).await;
        found.map_err(Failure::into_state)
    }
}

#[async_trait]
impl Queryable for PostgresState {
    async fn query(&self, request: QueryRequest) -> Result<QueryPage, StateError> {
        self.look_at_cleaning();
        let select = query::Select::new(self.table.rows(), &request)?;
        let attempt = || async {
            let loan = self.pool.lend().await?;
            let found = self.table.query(&loan, &select).await;
            loan.settle(found)
        };
        let found = self.pool.run(Repeat::Safe, attempt).await;
        found.map_err(Failure::into_state)
    }
}
