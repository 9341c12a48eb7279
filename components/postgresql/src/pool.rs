//! Connections to one database, and requests over them, each with its limit.
//!
//! A connection whose request was given up is closed, never lent again: its answer may still come. The server ends what
//! it works on for longer than the limit by itself (`statement_timeout`), so nothing is left running there either;
//! behind a pooler, which shares its connections, that setting is not ours to make.

mod loan;

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, RecyclingMethod, Runtime};
use parking_lot::Mutex;
use rand::Rng as _;
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{QueryExecMode, Target};
use crate::failure::{Failure, Kind};
pub(crate) use loan::{Loan, Parameter};

/// How often a request is tried at most, the limit of its time permitting.
const ATTEMPTS: u32 = 10;
/// The first pause between two attempts; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How often idle connections are looked at, at most.
const TIDYING: Duration = Duration::from_secs(1);

/// Whether a request may be made again when nobody knows whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// A second time could fail, or undo what came between.
    Unsafe,
}

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
        let trying = async {
            let mut attempts = 1;
            loop {
                let failure = match attempt().await {
                    Ok(value) => return Ok(value),
                    Err(failure) => failure,
                };
                let lost = repeat == Repeat::Safe && failure.is_loss();
                if attempts >= ATTEMPTS || !(lost || failure.is_conflict()) {
                    return Err(failure);
                }
                sleep(pause(attempts)).await;
                attempts += 1;
            }
        };
        let outcome = timeout(self.limit, trying).await;
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

/// The pause after attempt number `attempt`, from half of its nominal length up.
fn pause(attempt: u32) -> Duration {
    jittered(attempt, FIRST_PAUSE, LONGEST_PAUSE)
}

/// As [`pause`], between these two.
pub(crate) fn jittered(attempt: u32, first: Duration, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
    let nominal = first.saturating_mul(factor).min(longest);
    nominal.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pause;

    #[test]
    fn pauses_double_up_to_the_longest() {
        for (attempt, nominal) in [(1, 5), (2, 10), (4, 40), (9, 200), (99, 200)] {
            let nominal = Duration::from_millis(nominal);
            let pause = pause(attempt);
            assert!(
                pause >= nominal / 2 && pause <= nominal,
                "{attempt}: {pause:?}"
            );
        }
    }
}
