//! An open database, worked on by threads that may block.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::connection::Target;

/// An open database. Cheap to clone; the last clone closes it, unless [`close`](Self::close) did.
#[derive(Clone)]
pub(crate) struct Database {
    /// `None` once it is closed. One piece of work has it at a time; the others wait for it without a thread.
    connection: Arc<Mutex<Option<Connection>>>,
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
    /// It is closed, or the runtime ends.
    Ending,
}

impl std::fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Timeout(limit) => write!(f, "the database did not answer within {limit:?}"),
            Self::Ending => f.write_str("the database is closed"),
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
                connection: Arc::new(Mutex::new(Some(connection))),
                interrupt,
                timeout: target.timeout,
            })
        });
        let opened = opening.await.map_err(|_| DatabaseError::Ending)?;
        opened.map_err(DatabaseError::Sqlite)
    }

    /// Does `work` within the configured limit, waiting for its turn included; what takes longer is interrupted, and
    /// what did not begin by then never does.
    ///
    /// # Errors
    /// The work fails or takes too long, or the database is closed.
    ///
    /// # Cancel safety
    /// Work that began goes on when the future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let limit = Instant::now() + self.timeout;
        let late = || DatabaseError::Timeout(self.timeout);
        let turn = timeout_at(limit, Arc::clone(&self.connection).lock_owned());
        let turn = turn.await.map_err(|_| late())?;
        let working = tokio::task::spawn_blocking(move || carry_out(turn, work));
        match timeout_at(limit, working).await {
            // The turn ends here, so that an interruption never hits the work of another.
            Ok(Ok((done, _turn))) => done,
            Ok(Err(_)) => Err(DatabaseError::Ending),
            Err(_) => {
                self.interrupt.interrupt();
                Err(late())
            }
        }
    }

    /// Closes it once the work under way is done. Whatever is asked afterwards fails.
    pub(crate) async fn close(&self) {
        let connection = self.connection.lock().await.take();
        // Closing writes the log back into the database: it may block, and its failure costs only that.
        let closing = tokio::task::spawn_blocking(move || drop(connection));
        if closing.await.is_err() {
            tracing::debug!("the database is closed with the process");
        }
    }
}

type Turn = OwnedMutexGuard<Option<Connection>>;

fn carry_out<T>(
    mut turn: Turn,
    work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
) -> (Result<T, DatabaseError>, Turn) {
    let done = match turn.as_mut() {
        Some(connection) => work(connection).map_err(DatabaseError::Sqlite),
        None => Err(DatabaseError::Ending),
    };
    (done, turn)
}
