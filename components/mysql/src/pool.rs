//! Connections to one database, and requests over them, each with its limit.
//!
//! A connection whose request was given up is closed, never lent again: its answer may still come. The server ends what
//! it works on for longer than the limit by itself, so nothing is left running there either.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mysql_async::{Conn, DriverError, Error, Pool as Connections};
use tokio::time::timeout;
use trilby_components_sql::attempts::{self, Repeat};

use crate::connection::Target;
use crate::failure::{Failure, Kind};

/// Connections to one database. There are none before the first request.
pub(crate) struct Pool {
    connections: Connections,
    /// Of one request, waiting for a connection included.
    limit: Duration,
    /// How long a connection may take to come about, if that is limited for itself.
    dial: Option<Duration>,
    address: String,
}

impl Pool {
    /// A pool whose requests take at most `limit`.
    pub(crate) fn new(target: &Target, database: Option<&str>, limit: Duration) -> Self {
        Self {
            connections: Connections::new(target.options(database)),
            limit,
            dial: target.dial,
            address: target.address.clone(),
        }
    }

    /// A connection, as soon as there is one.
    ///
    /// # Errors
    /// None can be had.
    pub(crate) async fn lend(&self) -> Result<Conn, Failure> {
        let connecting = self.connections.get_conn();
        let connected = match self.dial {
            None => connecting.await,
            Some(limit) => timeout(limit, connecting).await.map_err(|_| {
                let reason = format!("no connection to {} within {limit:?}", self.address);
                Failure::new(Kind::Busy, &reason)
            })?,
        };
        connected.map_err(|error| Failure::of_connecting(&error))
    }

    /// Makes a request within the limit: again where the server took it back for the sake of others, and, where that is
    /// [`Repeat::Safe`], when its connection broke.
    ///
    /// # Errors
    /// Why the last attempt failed, or that the limit was reached.
    pub(crate) async fn run<T, F, Fut>(&self, repeat: Repeat, attempt: F) -> Result<T, Failure>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let outcome = attempts::run(self.limit, repeat, attempt).await;
        outcome.map_err(|failure| failure.unwrap_or_else(|| self.late()))
    }

    /// Makes a request within the limit, and never again.
    ///
    /// # Errors
    /// Why it failed, or that the limit was reached.
    pub(crate) async fn once<T>(
        &self,
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let outcome = timeout(self.limit, attempt).await;
        outcome.unwrap_or_else(|_| Err(self.late()))
    }

    fn late(&self) -> Failure {
        let metrics = self.connections.metrics();
        let (busy, all) = (&metrics.connections_in_use, &metrics.connection_count);
        let reason = format!(
            "{} did not answer within {:?} ({} of {} connections busy)",
            self.address,
            self.limit,
            busy.load(Ordering::Relaxed),
            all.load(Ordering::Relaxed)
        );
        Failure::new(Kind::Lost, &reason)
    }

    /// Closes every connection, those that are lent as soon as they come back. Later requests fail.
    pub(crate) async fn close(&self) {
        // It waits for those that are lent, which their own limits bring back.
        if let Ok(Err(error)) = timeout(self.limit, self.connections.clone().disconnect()).await {
            tracing::debug!(%error, "a connection did not end well");
        }
    }
}

/// A connection to no database yet; without TLS where the server has none and that is good enough.
///
/// # Errors
/// None can be had.
pub(crate) async fn first_connection(
    target: &mut Target,
    limit: Duration,
) -> Result<Conn, Failure> {
    let limit = target.dial.map_or(limit, |dial| dial.min(limit));
    loop {
        let connected = timeout(limit, Conn::new(target.options(None))).await;
        match connected {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(Error::Driver(DriverError::NoClientSslFlagFromServer)))
                if target.give_up_tls() => {}
            Ok(Err(error)) => return Err(Failure::of_connecting(&error)),
            Err(_) => {
                let reason = format!("no connection within {limit:?}");
                return Err(Failure::new(Kind::Busy, &reason));
            }
        }
    }
}

/// Gives a connection back, unless the outcome says that it is of no more use.
pub(crate) async fn settle<T>(connection: Conn, outcome: Result<T, Failure>) -> Result<T, Failure> {
    if let Err(failure) = &outcome
        && failure.spoils_connection()
        && let Err(error) = connection.disconnect().await
    {
        tracing::debug!(%error, "a connection did not end well");
    }
    outcome
}
