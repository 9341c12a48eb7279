//! The metadata of `state.memcached`, with upstream's names and defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{Metadata, MetadataError, Schema};

/// Upstream's default of `timeout`, in milliseconds.
const TIMEOUT: i64 = 1_000;
/// What upstream's client makes of a limit of 0.
const TIMEOUT_OF_NONE: Duration = Duration::from_millis(500);
/// Upstream's default of `maxIdleConnections`.
const IDLE_CONNECTIONS: usize = 2;

/// Metadata of the store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The servers, `host:port` each. Which one has a key depends on their order, so it has to be the same everywhere.
    hosts: Vec<String>,
    /// Connections to each server that stay open while nobody uses them; 0 and less for the default.
    #[serde(default = "idle_connections")]
    max_idle_connections: i64,
    /// Limit of connecting, and of each exchange with a server, in milliseconds; 0 for 500, less for the default.
    #[serde(default = "timeout")]
    timeout: i64,
}

impl Schema for Settings {}

fn idle_connections() -> i64 {
    2
}

fn timeout() -> i64 {
    TIMEOUT
}

/// All that the store is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// At least one, `host:port` each.
    pub(crate) hosts: Vec<String>,
    /// Connections to each server that are kept.
    pub(crate) idle_connections: usize,
    /// Limit of connecting, and of each exchange.
    pub(crate) timeout: Duration,
}

impl Config {
    /// Reads the metadata.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub(crate) fn new(metadata: &Metadata) -> Result<Self, MetadataError> {
        let settings: Settings = metadata.decode()?;
        let hosts = settings.hosts.iter().map(|host| server(host));
        let hosts: Vec<String> = hosts.collect::<Result<_, _>>()?;
        if hosts.is_empty() {
            return Err(MetadataError::Missing("hosts".to_owned()));
        }
        let idle = usize::try_from(settings.max_idle_connections).unwrap_or_default();
        Ok(Self {
            hosts,
            idle_connections: if idle == 0 { IDLE_CONNECTIONS } else { idle },
            timeout: match u64::try_from(settings.timeout) {
                Ok(0) => TIMEOUT_OF_NONE,
                Ok(milliseconds) => Duration::from_millis(milliseconds),
                Err(_) => Duration::from_millis(TIMEOUT.unsigned_abs()),
            },
        })
    }
}

fn server(text: &str) -> Result<String, MetadataError> {
    let text = text.trim();
    let wrong = |reason| Err(MetadataError::invalid("hosts", reason));
    match text.rsplit_once(':') {
        _ if text.contains('/') => wrong(format!("{text:?}: unix sockets are not there yet")),
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(text.to_owned())
        }
        _ => wrong(format!("{text:?} is not host:port")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_components::metadata::{Metadata, MetadataError};

    use super::Config;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, MetadataError> {
        Config::new(&Metadata::new(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn defaults_are_upstreams() {
        let config = read(&[("hosts", "a:1,b:2")]).unwrap();
        let expected = Config {
            hosts: vec!["a:1".into(), "b:2".into()],
            idle_connections: 2,
            timeout: Duration::from_secs(1),
        };
        assert_eq!(config, expected);
        let odd = [("maxIdleConnections", "-3"), ("timeout", "-5")];
        assert_eq!(read(&[("hosts", "a:1, b:2"), odd[0], odd[1]]), Ok(expected));
    }

    #[test]
    fn limits_are_in_milliseconds() {
        for (text, milliseconds) in [("250", 250), ("0", 500)] {
            let config = read(&[("hosts", "a:1"), ("timeout", text)]).unwrap();
            assert_eq!(config.timeout, Duration::from_millis(milliseconds));
        }
        let wrong = read(&[("hosts", "a:1"), ("timeout", "1s")]).unwrap_err();
        assert!(wrong.to_string().contains("timeout"), "{wrong}");
    }

    #[test]
    fn a_host_that_is_none_is_named() {
        for wrong in ["a", "a:", ":1", "a:b", "/tmp/socket", "a:1,,b:2"] {
            let error = read(&[("hosts", wrong)]).unwrap_err().to_string();
            assert!(error.contains("hosts"), "{wrong}: {error}");
        }
        let missing = read(&[]).unwrap_err();
        assert_eq!(missing, MetadataError::Missing("hosts".into()));
    }
}
