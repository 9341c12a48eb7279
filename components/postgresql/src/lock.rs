//! `lock.postgresql`, which upstream does not have: a row for each lock, with its owner and when its time is over.
//!
//! It is a table and no advisory lock of the server's: those belong to a connection, end with it and with nothing else,
//! and know no owner. The server's clock alone decides, so sidecars whose clocks differ agree; a lock outlives a crash of
//! the server. Taking and giving back are one statement each, and neither is sent twice when its answer is lost.
//!
//! Rows whose time is over are nobody's. Whoever takes a lock removes some of them, now and then.

mod settings;
mod table;

use async_trait::async_trait;
use trilby_components::lock::{Claim, LockError, LockStore, Release};
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;

use crate::connection::{Properties, Target};
use crate::failure::{Failure, Kind};
use crate::pool::{Pool, Repeat};
pub(crate) use settings::Settings;
use table::Table;

/// Locks in a PostgreSQL database.
pub struct PostgresLock {
    pool: Pool,
    table: Table,
}

impl PostgresLock {
    /// Connects to a database with the table, or makes it.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the database is away or refuses, else what is wrong with the metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        let settings: Settings = rest.decode()?;
        let table = Table::new(settings.table_name()?);
        let pool = Pool::new(Target::new(&properties)?, settings.timeout()?);
        let make = || async {
            let loan = pool.lend().await?;
            let made = table.make(&loan).await;
            loan.settle(made)
        };
        pool.run(Repeat::Safe, make).await.map_err(|failure| {
            let (address, reason) = (pool.address(), failure.reason());
            InitError::Unavailable(format!("PostgreSQL at {address}: {reason}"))
        })?;
        Ok(Self { pool, table })
    }
}

#[async_trait]
impl LockStore for PostgresLock {
    async fn try_lock(&self, claim: Claim<'_>) -> Result<bool, LockError> {
        check("resource", claim.resource)?;
        check("owner", claim.owner)?;
        let attempt = || async {
            let loan = self.pool.lend().await?;
            let taken = self.table.take(&loan, claim).await;
            loan.settle(taken)
        };
        let taken = self.pool.run(Repeat::Unsafe, attempt).await;
        taken.map_err(failed)
    }

    async fn unlock(&self, resource: &str, owner: &str) -> Result<Release, LockError> {
        check("resource", resource)?;
        check("owner", owner)?;
        let attempt = || async {
            let loan = self.pool.lend().await?;
            let released = self.table.give_back(&loan, resource, owner).await;
            loan.settle(released)
        };
        let released = self.pool.run(Repeat::Unsafe, attempt).await;
        released.map_err(failed)
    }

    async fn close(&self) {
        self.pool.close();
    }
}

/// Whether the server can have this text at all.
fn check(what: &str, text: &str) -> Result<(), LockError> {
    match text.contains('\0') {
        true => Err(LockError::InvalidRequest(format!(
            "PostgreSQL: {what} {text:?} has a NUL, which no text in PostgreSQL can have"
        ))),
        false => Ok(()),
    }
}

fn failed(failure: Failure) -> LockError {
    let kind = match &failure {
        Failure::Server { kind, .. } => Some(*kind),
        Failure::Decided(_) => None,
    };
    let reason = format!("PostgreSQL: {}", failure.reason());
    match kind {
        Some(Kind::Away | Kind::Lost | Kind::Conflict | Kind::Busy | Kind::ReadOnly) => {
            LockError::Unavailable(reason)
        }
        Some(Kind::Request) => LockError::InvalidRequest(reason),
        Some(Kind::Taken | Kind::Refused) | None => LockError::Store(reason),
    }
}
