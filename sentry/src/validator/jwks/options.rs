//! The options of the JWKS validator, as the Configuration writes them.

use std::time::Duration;

use serde_json::{Map, Value};
use trilby_go_syntax::parse_duration;

/// Upstream's age of keys from the network.
const INTERVAL: Duration = Duration::from_mins(10);

/// Upstream's limit for one request for keys.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What upstream takes for no interval, and for no limit.
const NO_INTERVAL: Duration = Duration::from_secs(1);
const NO_TIMEOUT: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// A URL, a path, or the keys themselves (JSON, or that in base64).
    pub(crate) source: String,
    /// Authorities to verify the server of a URL with: a path, or PEM.
    pub(crate) ca_certificate: Option<String>,
    /// Who has to have issued a token (`iss`); unset does not look at it, as upstream does not.
    pub(crate) issuer: Option<String>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
}

/// Options that cannot work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("token validator jwks: {0} is missing")]
    Missing(&'static str),
    #[error("token validator jwks: {name}: {reason}")]
    Wrong { name: String, reason: String },
}

impl Options {
    /// Reads them; names are not case-sensitive.
    pub(crate) fn read(options: Option<&Value>) -> Result<Self, OptionsError> {
        let none = Map::new();
        let options = match options {
            None | Some(Value::Null) => &none,
            Some(Value::Object(options)) => options,
            Some(_) => return Err(wrong("options", "they are no object")),
        };
        let mut read = Self::default();
        for (name, value) in options {
            read.set(name, value)?;
        }
        if read.source.trim().is_empty() {
            return Err(OptionsError::Missing("source"));
        }
        Ok(read)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), OptionsError> {
        match name.to_ascii_lowercase().as_str() {
            "source" => self.source = text(name, value)?,
            "cacertificate" => self.ca_certificate = non_empty(text(name, value)?),
            "issuer" => self.issuer = non_empty(text(name, value)?),
            "minrefreshinterval" => self.interval = Some(duration(name, value)?),
            "requesttimeout" => self.timeout = Some(duration(name, value)?),
            _ => tracing::warn!(option = name, "unknown option of token validator jwks"),
        }
        Ok(())
    }

    /// How old keys from the network may get.
    pub(crate) fn interval(&self) -> Duration {
        self.configured_interval().unwrap_or(INTERVAL)
    }

    /// The same, if it is configured.
    pub(crate) fn configured_interval(&self) -> Option<Duration> {
        self.interval.filter(|interval| *interval > NO_INTERVAL)
    }

    /// How long a request for keys may take.
    pub(crate) fn timeout(&self) -> Duration {
        let timeout = self.timeout.filter(|timeout| *timeout > NO_TIMEOUT);
        timeout.unwrap_or(REQUEST_TIMEOUT)
    }
}

pub(super) fn wrong(name: &str, reason: impl ToString) -> OptionsError {
    OptionsError::Wrong {
        name: name.to_owned(),
        reason: reason.to_string(),
    }
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn text(name: &str, value: &Value) -> Result<String, OptionsError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(wrong(name, "it is no text")),
    }
}

/// Go's syntax, or a whole number of seconds.
fn duration(name: &str, value: &Value) -> Result<Duration, OptionsError> {
    let seconds = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match (seconds, value) {
        (Some(seconds), _) => Ok(Duration::from_secs(seconds)),
        (None, Value::String(text)) => parse_duration(text).map_err(|error| wrong(name, error)),
        _ => Err(wrong(name, "it is no duration")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(options: Value) -> Result<Options, String> {
        Options::read(Some(&options)).map_err(|error| error.to_string())
    }

    #[test]
    fn durations_are_gos_or_seconds_and_tiny_ones_are_none() {
        let times = |interval: Value, timeout: Value| {
            let options =
                json!({"source": "x", "minRefreshInterval": interval, "requestTimeout": timeout});
            let options = read(options).unwrap();
            (
                options.interval().as_millis(),
                options.timeout().as_millis(),
            )
        };
        assert_eq!(times(json!("2m"), json!("1m")), (120_000, 60_000));
        assert_eq!(times(json!(2), json!("3")), (2_000, 3_000));
        assert_eq!(times(json!("1s"), json!("1ms")), (600_000, 30_000));
        let defaults = read(json!({"SOURCE": "x"})).unwrap();
        assert_eq!(defaults.interval(), INTERVAL);
        assert_eq!(defaults.configured_interval(), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (options, expected) in [
            (json!({}), "token validator jwks: source is missing"),
            (json!(null), "token validator jwks: source is missing"),
            (
                json!([1]),
                "token validator jwks: options: they are no object",
            ),
            (
                json!({"source": 7}),
                "token validator jwks: source: it is no text",
            ),
            (
                json!({"source": "x", "requestTimeout": true}),
                "token validator jwks: requestTimeout: it is no duration",
            ),
        ] {
            assert_eq!(read(options).unwrap_err(), expected);
        }
        let text = read(json!({"source": "x", "minRefreshInterval": "soon"})).unwrap_err();
        assert!(
            text.starts_with("token validator jwks: minRefreshInterval: "),
            "{text}"
        );
    }
}
