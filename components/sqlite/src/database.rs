//! An open database, worked on by threads that may block.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use crate::connection::Target;

/// An open database. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub(crate) struct Database {
    connection: Arc<Mutex<Connection>>,
    interrupt: Arc<InterruptHandle>,
    timeout: Duration,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database")
    }
}

/// Why work was not done.
#[derive(Debug)]
pub(crate) enum DatabaseError {
    /// SQLite's own reason.
    Sqlite(rusqlite::Error),
    /// It took too long, and was interrupted.
    Timeout(Duration),
    /// The runtime ends.
    Ending,
}

impl std::fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Timeout(limit) => write!(f, "the database did not answer within {limit:?}"),
            Self::Ending => f.write_str("the sidecar is ending"),
        }
    }
}

impl Database {
    /// Opens it and does the first work.
    ///
    /// # Errors
    /// It cannot be opened, or the work fails.
    pub(crate) async fn open(
        target: Target,
        first: impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<Self, DatabaseError> {
        let opening = tokio::task::spawn_blocking(move || {
            let mut connection = target.open()?;
            first(&mut connection)?;
            let interrupt = Arc::new(connection.get_interrupt_handle());
            Ok(Self {
                connection: Arc::new(Mutex::new(connection)),
                interrupt,
                timeout: target.timeout,
            })
        });
        let opened = opening.await.map_err(|_| DatabaseError::Ending)?;
        opened.map_err(DatabaseError::Sqlite)
    }

    /// Does `work` within the configured limit; what takes longer is interrupted.
    ///
    /// # Errors
    /// The work fails or takes too long.
    ///
    /// # Cancel safety
    /// The work goes on when the future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let connection = Arc::clone(&self.connection);
        let working = tokio::task::spawn_blocking(move || work(&connection.lock()));
        match tokio::time::timeout(self.timeout, working).await {
            Ok(Ok(done)) => done.map_err(DatabaseError::Sqlite),
            Ok(Err(_)) => Err(DatabaseError::Ending),
            Err(_) => {
                self.interrupt.interrupt();
                Err(DatabaseError::Timeout(self.timeout))
            }
        }
    }
}
