//! One connection to Redis, or to each server of a cluster, shared by all commands, that comes back by itself.
//!
//! Commands in flight share one multiplexed connection. When it breaks, the next command opens a new one;
//! those that arrive meanwhile wait for that attempt and share its outcome, so a server that is away costs
//! one connection attempt at a time and nobody queues up behind another's timeout. The driver's own
//! connection manager is not used: after a login that failed, or while the server loads its data, it keeps
//! that answer for good.

use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisError, RedisResult, ServerErrorKind,
    aio::MultiplexedConnection,
};
use parking_lot::Mutex;
use rand::Rng as _;
use tokio::time::{Instant, sleep};
use trilby_components::state::StateError;

use crate::{
    config::{Config, Retry},
    connection::Connection,
};

/// Pauses between two attempts of a subscription to come back.
pub(crate) const RETURN: Retry = Retry {
    times: u32::MAX,
    first: Duration::from_millis(50),
    longest: Duration::from_secs(5),
};

/// Whether a command may be sent again when nobody knows whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// A second time could fail, or undo what came between.
    Unsafe,
}

/// The connection, whether it is up or not.
pub(crate) struct Link {
    config: Config,
    current: Mutex<Current>,
    /// Held while connecting, so that there is one attempt at a time.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    /// Counts connections, so that a late failure of an old one leaves the new one alone.
    generation: u64,
    connection: Option<Connection>,
    /// The outcome of the last attempt, for those who waited for it.
    failure: Option<(Instant, RedisError)>,
    closed: bool,
}

/// Why one attempt of a command failed.
enum Failure {
    /// It was not carried out; another attempt may succeed.
    NotDone(RedisError),
    /// It may have been carried out.
    Unknown(RedisError),
    /// The server refused it.
    Refused(RedisError),
}

impl Link {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// `host:port`, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.config.address
    }

    /// A connection beside the shared one, that speaks this version of the protocol. There is none to a cluster.
    pub(crate) async fn beside(
        &self,
        protocol: ProtocolVersion,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let server = &self.config.server;
        server.connect_alone(Some(protocol), config).await
    }

    /// A connection beside the shared one, however the servers are arranged.
    pub(crate) async fn apart(&self) -> RedisResult<Connection> {
        self.connect().await
    }

    /// The number of the database.
    pub(crate) fn database(&self) -> i64 {
        self.config.server.database()
    }

    /// The limits of such a connection.
    pub(crate) fn connection_config(&self) -> AsyncConnectionConfig {
        self.config.connection.clone()
    }

    /// How long one command may take; `None` for no limit.
    pub(crate) fn response_limit(&self) -> Option<Duration> {
        self.config.response
    }

    /// Whether it was closed for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.current.lock().closed
    }

    /// Runs `command`, again if its connection fails and `repeat` allows it.
    pub(crate) async fn run<T, F, Fut>(&self, repeat: Repeat, command: F) -> Result<T, StateError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        let Retry { times, .. } = self.config.retry;
        let mut attempt = 0;
        loop {
            let error = match self.attempt(&command).await {
                Ok(value) => return Ok(value),
                Err(Failure::Refused(error)) => return Err(StateError::Store(error.to_string())),
                Err(Failure::Unknown(error)) if repeat == Repeat::Unsafe => {
                    return Err(self.unavailable(&error));
                }
                Err(Failure::NotDone(error) | Failure::Unknown(error)) => error,
            };
            if attempt >= times || self.current.lock().closed {
                return Err(self.unavailable(&error));
            }
            sleep(pause(self.config.retry, attempt)).await;
            attempt += 1;
        }
    }

    /// Runs `command` once.
    pub(crate) async fn once<T, F, Fut>(&self, command: F) -> RedisResult<T>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        self.attempt(&command)
            .await
            .map_err(|failure| match failure {
                Failure::NotDone(error) | Failure::Unknown(error) | Failure::Refused(error) => {
                    error
                }
            })
    }

    /// Drops the connection for good.
    pub(crate) fn close(&self) {
        let mut current = self.current.lock();
        current.closed = true;
        current.connection = None;
    }

    async fn attempt<T, F, Fut>(&self, command: &F) -> Result<T, Failure>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        let (generation, connection) = self.connection().await.map_err(Failure::NotDone)?;
        let error = match command(connection).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        // The driver mends its connections to a cluster one by one.
        if is_broken(&error) && !self.is_cluster() {
            self.discard(generation);
        }
        Err(classify(error))
    }

    async fn connection(&self) -> RedisResult<(u64, Connection)> {
        let arrived = Instant::now();
        if let Some(found) = self.current.lock().usable()? {
            return Ok(found);
        }
        let _one_at_a_time = self.connecting.lock().await;
        {
            let current = self.current.lock();
            if let Some(found) = current.usable()? {
                return Ok(found);
            }
            if let Some((when, error)) = &current.failure
                && *when >= arrived
            {
                return Err(error.clone());
            }
        }
        let outcome = self.connect().await;
        let mut current = self.current.lock();
        match outcome {
            Ok(connection) => {
                current.generation += 1;
                current.failure = None;
                current.connection = (!current.closed).then(|| connection.clone());
                Ok((current.generation, connection))
            }
            Err(error) => {
                current.failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        self.config.server.connect(&self.config.connection).await
    }

    /// Whether keys are spread over several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        self.config.server.is_cluster()
    }

    /// Whether sentinels say which server it is.
    pub(crate) fn follows_a_master(&self) -> bool {
        self.config.server.follows_a_master()
    }

    fn discard(&self, generation: u64) {
        let mut current = self.current.lock();
        if current.generation == generation {
            current.connection = None;
        }
    }

    fn unavailable(&self, error: &RedisError) -> StateError {
        StateError::Unavailable(format!(
            "redis store: error connecting to redis at {}: {error}",
            self.config.address
        ))
    }
}

impl Current {
    fn usable(&self) -> RedisResult<Option<(u64, Connection)>> {
        if self.closed {
            return Err((ErrorKind::Client, "the component was closed").into());
        }
        let connection = self.connection.clone();
        Ok(connection.map(|connection| (self.generation, connection)))
    }
}

/// Whether a new connection may do better: this one is gone, silent, or leads to a server that no longer
/// takes writes.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_timeout()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

fn classify(error: RedisError) -> Failure {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        )
        | ErrorKind::ClusterConnectionNotFound => Failure::NotDone(error),
        ErrorKind::Io | ErrorKind::Parse => Failure::Unknown(error),
        _ => Failure::Refused(error),
    }
}

/// The pause after attempt number `attempt`, from half of its nominal length up.
pub(crate) fn pause(retry: Retry, attempt: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
    let nominal = retry.first.saturating_mul(factor).min(retry.longest);
    nominal.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pause;
    use crate::config::Retry;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retry = Retry {
            times: 3,
            first: Duration::from_millis(8),
            longest: Duration::from_millis(20),
        };
        for (attempt, nominal) in [(0, 8), (1, 16), (2, 20), (40, 20)] {
            let nominal = Duration::from_millis(nominal);
            let pause = pause(retry, attempt);
            assert!(
                pause >= nominal / 2 && pause <= nominal,
                "{attempt}: {pause:?}"
            );
        }
    }
}
