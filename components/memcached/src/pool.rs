//! The connections to one server.
//!
//! An exchange has a connection to itself, and gives it back if it went well. One that the server closed meanwhile is
//! seen before it is used; where that comes too late, a request that may be repeated takes another one.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use trilby_components::state::{MAX_PARALLELISM, StateError};

use crate::connection::{Connection, Failure, Values};
use crate::protocol::Command;

/// The connections to one server.
#[derive(Debug)]
pub(crate) struct Pool {
    /// `host:port`
    address: String,
    limit: Duration,
    /// How many stay open while nobody uses them.
    kept: usize,
    idle: Mutex<Idle>,
    /// As many exchanges as a bulk call has under way at once; further ones wait.
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct Idle {
    /// The last one used is used first, so that the others may grow old.
    connections: Vec<Connection>,
    closed: bool,
}

/// A connection, and whether it was used before.
enum Way {
    Known(Connection),
    New(Connection),
}

impl Pool {
    pub(crate) fn new(address: String, kept: usize, limit: Duration) -> Self {
        Self {
            address,
            limit,
            kept,
            idle: Mutex::default(),
            turns: Semaphore::new(MAX_PARALLELISM),
        }
    }

    /// Carries out a command; one that changes nothing is repeated if its connection turns out to be gone.
    pub(crate) async fn run(&self, command: Command<'_>) -> Result<Values, StateError> {
        let _turn = self.turn().await?;
        let repeatable = matches!(command, Command::Get(_) | Command::Version);
        let outcome = match self.way().await? {
            Way::New(connection) => self.attempt(connection, &command).await,
            Way::Known(connection) => match self.attempt(connection, &command).await {
                Err(Failure::Unanswered(_)) if repeatable => {
                    self.attempt(self.open().await?, &command).await
                }
                outcome => outcome,
            },
        };
        outcome.map_err(|failure| self.explain(failure))
    }

    /// Drops the connections for good.
    pub(crate) fn close(&self) {
        let mut idle = self.idle.lock();
        idle.closed = true;
        idle.connections.clear();
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, StateError> {
        let turn = timeout(self.limit, self.turns.acquire()).await;
        match turn {
            Ok(turn) => Ok(turn.expect("nobody closes it")),
            Err(_) => Err(self.unavailable("too many requests are under way")),
        }
    }

    async fn way(&self) -> Result<Way, StateError> {
        loop {
            let known = {
                let mut idle = self.idle.lock();
                if idle.closed {
                    return Err(self.unavailable("the component was closed"));
                }
                idle.connections.pop()
            };
            match known {
                Some(connection) if connection.is_quiet() => return Ok(Way::Known(connection)),
                Some(_) => {}
                None => return self.open().await.map(Way::New),
            }
        }
    }

    async fn open(&self) -> Result<Connection, StateError> {
        match timeout(self.limit, Connection::open(&self.address)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.unavailable(&error.to_string())),
            Err(_) => Err(self.late()),
        }
    }

    async fn attempt(
        &self,
        mut connection: Connection,
        command: &Command<'_>,
    ) -> Result<Values, Failure> {
        let exchange = timeout(self.limit, connection.exchange(command)).await;
        let values = exchange.unwrap_or_else(|_| {
            let limit = self.limit;
            Err(Failure::Lost(format!("it did not answer within {limit:?}")))
        })?;
        let mut idle = self.idle.lock();
        if !idle.closed && idle.connections.len() < self.kept {
            idle.connections.push(connection);
        }
        Ok(values)
    }

    fn explain(&self, failure: Failure) -> StateError {
        let told = |reason| format!("Memcached at {}: {reason}", self.address);
        match failure {
            Failure::Unanswered(reason) | Failure::Lost(reason) => self.unavailable(&reason),
            Failure::Wrong(reason) => StateError::InvalidRequest(told(reason)),
            Failure::Failed(reason) => StateError::Store(told(reason)),
        }
    }

    fn late(&self) -> StateError {
        let limit = self.limit;
        self.unavailable(&format!("no connection within {limit:?}"))
    }

    fn unavailable(&self, reason: &str) -> StateError {
        StateError::Unavailable(format!("Memcached at {}: {reason}", self.address))
    }
}
