//! Connection settings, shared by every block that Redis serves.

mod limit;
mod properties;

use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, TlsCertificates,
};
use tracing::warn;
use trilby_components::{
    metadata::{Metadata, MetadataError, value::Sensitive},
    registry::InitError,
};

use limit::Limit;
pub(crate) use properties::Properties;

/// Redis' own port, for hosts that name none.
const DEFAULT_PORT: u16 = 6379;
/// Upstream's driver's default for `dialTimeout`.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Upstream's driver's default for `readTimeout`.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Upstream's default for `redisMaxRetries`.
const MAX_RETRIES: u32 = 3;
/// Upstream's default for `redisMinRetryInterval`; the maximum caps it.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Upstream's driver's default for `redisMaxRetryInterval`.
const MAX_RETRY_INTERVAL: Duration = Duration::from_millis(512);

/// One Redis server and how to talk to it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) client: Client,
    /// `host:port`, for messages.
    pub(crate) address: String,
    pub(crate) connection: AsyncConnectionConfig,
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

impl Config {
    /// Takes the connection settings out of `metadata`; the rest belongs to the block.
    ///
    /// # Errors
    /// When a setting is missing, cannot be read, or asks for something that is not there yet.
    pub(crate) fn split(metadata: &Metadata) -> Result<(Self, Metadata), InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        properties.refuse_what_is_not_there_yet()?;
        properties.warn_of_what_has_no_effect();
        Ok((Self::new(&properties)?, rest))
    }

    fn new(properties: &Properties) -> Result<Self, InitError> {
        let (host, port) = address(properties)?;
        let read = properties
            .read_timeout
            .unwrap_or(Limit::After(READ_TIMEOUT));
        let write = properties.write_timeout.unwrap_or(read);
        let dial = properties
            .dial_timeout
            .unwrap_or(Limit::After(DIAL_TIMEOUT));
        Ok(Self {
            address: format!("{host}:{port}"),
            client: client(properties, host, port)?,
            // A command is one exchange here: what upstream's driver splits into writing and reading.
            connection: AsyncConnectionConfig::new()
                .set_connection_timeout(dial.duration())
                .set_response_timeout(read.longer(write).duration()),
            retry: retry(properties),
        })
    }
}

fn retry(properties: &Properties) -> Retry {
    let longest = properties
        .redis_max_retry_interval
        .and_then(Limit::duration)
        .unwrap_or(MAX_RETRY_INTERVAL);
    let first = properties
        .redis_min_retry_interval
        .and_then(Limit::duration)
        .or(properties.max_retry_backoff.map(Duration::from_nanos))
        .unwrap_or(MIN_RETRY_INTERVAL);
    Retry {
        // -1 is upstream's way to say "none".
        times: properties
            .redis_max_retries
            .map_or(MAX_RETRIES, |times| times.try_into().unwrap_or(0)),
        first: first.min(longest),
        longest,
    }
}

/// Host and port out of `redisHost` and `redisPort`.
fn address(properties: &Properties) -> Result<(String, u16), MetadataError> {
    let invalid = |reason: &str| MetadataError::invalid("redisHost", reason);
    let (host, port) = split_port(properties.redis_host.trim())
        .map_err(|()| invalid("its port is not a number from 1 to 65535"))?;
    if host.is_empty() {
        return Err(invalid("it names no host"));
    }
    match (port, properties.redis_port) {
        (Some(port), Some(other)) if port != other => Err(invalid(&format!(
            "its port {port} is not redisPort, which is {other}"
        ))),
        (port, other) => Ok((host.to_owned(), port.or(other).unwrap_or(DEFAULT_PORT))),
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare IPv6 address.
fn split_port(text: &str) -> Result<(&str, Option<u16>), ()> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => return Ok((host, None)),
        Some((host, tail)) => (host, tail.strip_prefix(':').ok_or(())?),
        None => match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => return Ok((text, None)),
            Some(split) => split,
            None => return Ok((text, None)),
        },
    };
    match port.parse() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err(()),
    }
}

fn client(properties: &Properties, host: String, port: u16) -> Result<Client, InitError> {
    let addr = if properties.enable_tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: properties.insecure_skip_tls_verify,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut login = RedisConnectionInfo::default().set_db(properties.redis_db);
    if let Some(username) = &properties.redis_username {
        login = login.set_username(username);
    }
    if let Some(password) = &properties.redis_password {
        login = login.set_password(password.expose());
    }
    let invalid = |error: RedisError| InitError::Invalid(format!("redis store: {error}"));
    let info = addr.into_connection_info().map_err(invalid)?;
    let info = info.set_redis_settings(login);
    match client_certificate(properties)? {
        Some(certificate) => Client::build_with_tls(info, certificate),
        None => Client::open(info),
    }
    .map_err(invalid)
}

/// The certificate to show to the server. It counts with TLS only, and only with its key.
fn client_certificate(properties: &Properties) -> Result<Option<TlsCertificates>, MetadataError> {
    let (cert, key) = match (&properties.client_cert, &properties.client_key) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(MetadataError::Missing("clientKey".into())),
        (None, Some(_)) => return Err(MetadataError::Missing("clientCert".into())),
        (Some(_), Some(_)) if !properties.enable_tls => {
            warn!("clientCert and clientKey have no effect without enableTLS");
            return Ok(None);
        }
        (Some(cert), Some(key)) => (cert, key),
    };
    let bytes = |text: &Sensitive| text.expose().as_bytes().to_vec();
    Ok(Some(TlsCertificates {
        client_tls: Some(ClientTlsConfig {
            client_cert: bytes(cert),
            client_key: bytes(key),
        }),
        root_cert: None,
    }))
}

#[cfg(test)]
mod tests;
