//! Connections to one database, and requests over them, each with its limit.
//!
//! A connection whose request was given up is closed, never lent again: its answer may still come. The server ends what
//! it works on for longer than the limit by itself (`statement_timeout`), so nothing is left running there either;
//! behind a pooler, which shares its connections, that setting is not ours to make.

mod loan;

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, RecyclingMethod, Runtime};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use trilby_components_sql::attempts;

use crate::connection::{QueryExecMode, Target};
use crate::failure::{Failure, Kind};
pub(crate) use loan::{Loan, Parameter};
pub(crate) use trilby_components_sql::attempts::{Repeat, jittered};

/// How often idle connections are looked at, at most.
const TIDYING: Duration = Duration::from_secs(1);

/// Connections to one database. There are none before the first request.
pub(crate) struct Pool {
    connections: deadpool_postgres::Pool,
    /// Of one request, waiting for a connection included.
    limit: Duration,
    address: String,
    /// Whether statements may be left prepared on a connection.
    prepares: bool,
    idle: Duration,
    lifetime: Option<Duration>,
    /// When idle connections were looked at last.
    tidied: Mutex<Instant>,
}

impl Pool {
    /// A pool whose requests take at most `limit`.
    pub(crate) fn new(target: Target, limit: Duration) -> Self {
        let prepares = target.mode == QueryExecMode::CacheStatement;
        let config = ManagerConfig {
            // A connection that is gone is known to be so; one that is silent shows at its next request.
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(target.config, target.tls, config);
        let mut builder = deadpool_postgres::Pool::builder(manager)
            .max_size(target.connections)
            .runtime(Runtime::Tokio1);
        if prepares && !target.has_statement_timeout {
            builder = builder.post_create(statement_timeout(limit));
        }
        Self {
            connections: builder
                .build()
                .expect("no timeout needs more than the runtime"),
            limit,
            address: target.address,
            prepares,
            idle: target.idle,
            lifetime: target.lifetime,
            tidied: Mutex::new(Instant::now()),
        }
    }

    /// `host:port`, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A connection, as soon as there is one.
    ///
    /// # Errors
    /// None can be had.
    pub(crate) async fn lend(&self) -> Result<Loan, Failure> {
        self.tidy();
        let connection = self.connections.get().await?;
        Ok(Loan::new(connection, self.prepares))
    }

    /// Makes a request within the limit: again where the server rolled it back for the sake of others, and, where that
    /// is [`Repeat::Safe`], when its connection broke.
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
        let status = self.connections.status();
        let busy = status.size.saturating_sub(status.available);
        let reason = format!(
            "{} did not answer within {:?} ({busy} of {} connections busy, {} requests waiting)",
            self.address, self.limit, status.max_size, status.waiting
        );
        Failure::server(Kind::Lost, reason)
    }

    /// Closes what has been idle, or has been there, for too long.
    fn tidy(&self) {
        let now = Instant::now();
        let mut tidied = self.tidied.lock();
        if now < *tidied + TIDYING {
            return;
        }
        *tidied = now;
        let (idle, lifetime) = (self.idle, self.lifetime);
        self.connections.retain(|_, metrics| {
            metrics.last_used() < idle && lifetime.is_none_or(|most| metrics.age() < most)
        });
    }

    /// Whether it was closed for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.connections.is_closed()
    }

    /// Closes every connection, those that are lent as soon as they come back. Later requests fail.
    pub(crate) fn close(&self) {
        self.connections.close();
    }
}

/// Has the server end what it works on for longer.
fn statement_timeout(limit: Duration) -> Hook {
    let statement = format!("SET statement_timeout = {}", limit.as_millis());
    Hook::async_fn(move |connection, _| {
        let statement = statement.clone();
        Box::pin(async move {
            let set = connection.batch_execute(&statement).await;
            set.map_err(HookError::Backend)
        })
    })
}
