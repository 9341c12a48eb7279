//! Connection settings, shared by every block that Redis serves.

mod addresses;
mod limit;
mod login;
mod properties;
mod server;

use std::time::Duration;

use ::redis::AsyncConnectionConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    metadata::{Metadata, Schema},
    registry::InitError,
};

use limit::Limit;
pub(crate) use login::Login;
pub(crate) use properties::Properties;
pub(crate) use server::Server;

/// Redis' own port, for hosts that name none.
const DEFAULT_PORT: u16 = 6379;
/// Upstream's driver's default for `dialTimeout`.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Upstream's driver's default for `readTimeout`.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Upstream's default for `redisMaxRetries`.
const MAX_RETRIES: u32 = 3;
/// Upstream's default for `redisMinRetryInterval` of most blocks; the maximum caps it.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Upstream's driver's default for `redisMaxRetryInterval`.
const MAX_RETRY_INTERVAL: Duration = Duration::from_millis(512);

/// Redis servers and how to talk to them.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) server: Server,
    /// `host:port` of each in `redisHost`, for messages.
    pub(crate) address: String,
    pub(crate) connection: AsyncConnectionConfig,
    /// Limit of one command; `None` for none.
    pub(crate) response: Option<Duration>,
    pub(crate) retry: Retry,
}

/// How often and how soon a command is tried again after its connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    /// Attempts after the first.
    pub(crate) times: u32,
    /// The first pause; it doubles.
    pub(crate) first: Duration,
    /// The longest pause.
    pub(crate) longest: Duration,
}

/// Of a block that has none beyond the connection's.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NoSettings {}

impl Schema for NoSettings {}

impl Config {
    /// Takes the connection settings out of `metadata`; the rest belongs to the block.
    ///
    /// # Errors
    /// When a setting is missing, cannot be read, or asks for something that is not there yet.
    pub(crate) fn split(metadata: &Metadata) -> Result<(Self, Metadata), InitError> {
        Self::split_with(metadata, MIN_RETRY_INTERVAL)
    }

    /// As [`Config::split`], with this pause where the metadata says none before a command is repeated.
    ///
    /// # Errors
    /// Likewise.
    pub(crate) fn split_with(
        metadata: &Metadata,
        first_pause: Duration,
    ) -> Result<(Self, Metadata), InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        properties.refuse_what_is_not_there_yet()?;
        properties.warn_of_what_has_no_effect();
        Ok((Self::new(&properties, first_pause)?, rest))
    }

    fn new(properties: &Properties, first_pause: Duration) -> Result<Self, InitError> {
        let addresses = addresses::all(properties)?;
        let read = properties
            .read_timeout
            .unwrap_or(Limit::After(READ_TIMEOUT));
        let write = properties.write_timeout.unwrap_or(read);
        let dial = properties
            .dial_timeout
            .unwrap_or(Limit::After(DIAL_TIMEOUT));
        // A command is one exchange here: what upstream's driver splits into writing and reading.
        let connection = AsyncConnectionConfig::new()
            .set_connection_timeout(dial.duration())
            .set_response_timeout(read.longer(write).duration());
        let limits = server::Limits {
            dial: dial.duration(),
            response: read.longer(write).duration(),
        };
        Ok(Self {
            address: addresses::written(&addresses),
            server: Server::new(properties, addresses, limits)?,
            connection,
            response: read.longer(write).duration(),
            retry: retry(properties, first_pause),
        })
    }
}

fn retry(properties: &Properties, first_pause: Duration) -> Retry {
    let longest = properties
        .redis_max_retry_interval
        .and_then(Limit::duration)
        .unwrap_or(MAX_RETRY_INTERVAL);
    let first = properties
        .redis_min_retry_interval
        .and_then(Limit::duration)
        .or(properties.max_retry_backoff.map(Duration::from_nanos))
        .unwrap_or(first_pause);
    Retry {
        // -1 is upstream's way to say "none".
        times: properties
            .redis_max_retries
            .map_or(MAX_RETRIES, |times| times.try_into().unwrap_or(0)),
        first: first.min(longest),
        longest,
    }
}

#[cfg(test)]
mod tests;
