//! Where the database is and how it is opened, read from a connection string as upstream reads it.

use std::fmt;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{Schema, value::Seconds};
use trilby_components::registry::InitError;

/// Upstream's pragmas that have properties of their own.
const RESERVED: [(&str, &str); 3] = [
    ("busy_timeout", "use the property busyTimeout"),
    ("journal_mode", "use the property disableWAL"),
    ("foreign_keys", "it is not for users to set"),
];
/// The shortest `timeout`.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);

/// Properties of every SQLite component.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Properties {
    /// A path, or a `file:` URI with parameters.
    pub(crate) connection_string: String,
    /// Limit of one request. Default: 20s for state, 1s for name resolution.
    pub(crate) timeout: Option<Seconds>,
    /// How long a locked database is waited for; 0 is not at all. Default: 2s for state, 800ms for name resolution.
    pub(crate) busy_timeout: Option<Seconds>,
    /// Whether to keep a rollback journal instead of a write-ahead log, as a network file system needs.
    #[serde(default, rename = "disableWAL")]
    pub(crate) disable_wal: bool,
}

impl Schema for Properties {
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("url", "connectionString"), ("timeoutInSeconds", "timeout")];
}

/// How a component opens its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The URI that SQLite opens.
    uri: String,
    /// What is set then, as `name(value)`.
    pragmas: Vec<String>,
    busy: Duration,
    /// Limit of one request.
    pub(crate) timeout: Duration,
    memory: bool,
}

/// What a component takes when its properties do not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) timeout: Duration,
    pub(crate) busy: Duration,
}

impl fmt::Display for Target {
    /// The file, without parameters: they may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.split('?').next().unwrap_or_default())
    }
}

impl Target {
    /// Reads the properties.
    ///
    /// # Errors
    /// A property is wrong, or the string sets what has a property of its own.
    pub(crate) fn new(properties: &Properties, defaults: Defaults) -> Result<Self, InitError> {
        let Properties {
            connection_string: text,
            timeout,
            busy_timeout,
            disable_wal,
        } = properties;
        let timeout = timeout.map_or(defaults.timeout, |Seconds(timeout)| timeout);
        if timeout < LEAST_TIMEOUT {
            return Err(invalid(
                "invalid value for 'timeout': must be greater than 1s",
            ));
        }
        let busy = busy_timeout.map_or(defaults.busy, |Seconds(busy)| busy);
        let (file, parameters) = text.split_once('?').unwrap_or((text, ""));
        let parameters = Parameters::new(parameters)?;
        let lower = text.to_lowercase();
        let memory = lower.starts_with(":memory:") || lower.starts_with("file::memory:");
        let journal = match (memory, *disable_wal || parameters.read_only) {
            (true, _) => "MEMORY",
            (false, true) => "DELETE",
            (false, false) => "WAL",
        };
        let mut pragmas = parameters.pragmas;
        pragmas.push(format!("journal_mode({journal})"));
        Ok(Self {
            uri: uri(file, parameters.sqlite, memory),
            pragmas,
            busy,
            timeout,
            memory,
        })
    }

    /// Whether the database ends with its connection.
    pub(crate) fn is_memory(&self) -> bool {
        self.memory
    }

    /// Opens the database. Blocks.
    ///
    /// # Errors
    /// The file cannot be opened, is no database, or refuses a pragma.
    pub(crate) fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.uri, flags)?;
        connection.busy_timeout(self.busy)?;
        for pragma in &self.pragmas {
            // A pragma may answer with a row, or not.
            let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(connection)
    }
}

/// The parameters of a connection string.
#[derive(Debug, Default)]
struct Parameters {
    /// SQLite's own, encoded as they were.
    sqlite: Vec<String>,
    pragmas: Vec<String>,
    read_only: bool,
}

impl Parameters {
    fn new(text: &str) -> Result<Self, InitError> {
        let mut parameters = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_pragma" => parameters.pragmas.push(pragma(&decoded(value))?),
                "_txlock" => check_lock(value),
                _ if name.starts_with('_') => {
                    let reason = format!("connection string: {name} is not supported");
                    return Err(InitError::Invalid(reason));
                }
                _ => {
                    parameters.read_only |=
                        matches!((name, value), ("mode", "ro") | ("immutable", "1"));
                    parameters.sqlite.push(pair.to_owned());
                }
            }
        }
        Ok(parameters)
    }
}

fn check_lock(value: &str) {
    if !value.eq_ignore_ascii_case("immediate") {
        tracing::warn!(
            "_txlock of the connection string has no effect: transactions are immediate"
        );
    }
}

fn uri(file: &str, mut parameters: Vec<String>, memory: bool) -> String {
    if memory {
        parameters.retain(|parameter| !parameter.starts_with("cache="));
        parameters.push("cache=shared".to_owned());
    }
    let scheme = if file.to_lowercase().starts_with("file:") {
        ""
    } else {
        "file:"
    };
    let separator = if parameters.is_empty() { "" } else { "?" };
    format!("{scheme}{file}{separator}{}", parameters.join("&"))
}

/// A pragma that a user may set, in the form `name(value)`.
fn pragma(text: &str) -> Result<String, InitError> {
    let lower = text.to_lowercase();
    if let Some((name, advice)) = RESERVED.iter().find(|(name, _)| lower.starts_with(name)) {
        let reason =
            format!("found forbidden option '_pragma={name}' in the connection string: {advice}");
        return Err(InitError::Invalid(reason));
    }
    let plain = |char: char| char.is_ascii_alphanumeric() || "_()=-+. ".contains(char);
    if !text.chars().all(plain) {
        return Err(InitError::Invalid(format!(
            "connection string: _pragma={text} is not of the form name(value)"
        )));
    }
    Ok(text.to_owned())
}

/// Percent-decoding of a query's value.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.get(..2).and_then(hex)) {
            (b'+', _) => bytes.push(b' '),
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = &after[2..];
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(text, 16).ok()
}

fn invalid(reason: &str) -> InitError {
    InitError::Invalid(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_components::metadata::Metadata;

    use super::{Defaults, Target};

    const DEFAULTS: Defaults = Defaults {
        timeout: Duration::from_secs(1),
        busy: Duration::from_millis(800),
    };

    fn target(pairs: &[(&str, &str)]) -> Result<Target, String> {
        let metadata = Metadata::new(pairs.iter().copied()).unwrap();
        let properties = metadata.decode().map_err(|error| error.to_string())?;
        Target::new(&properties, DEFAULTS).map_err(|error| error.to_string())
    }

    fn of(text: &str) -> Result<Target, String> {
        target(&[("connectionString", text)])
    }

    #[test]
    fn a_path_becomes_a_uri_with_a_write_ahead_log() {
        let target = of("/data/names.db").unwrap();
        assert_eq!(target.uri, "file:/data/names.db");
        assert_eq!(target.pragmas, ["journal_mode(WAL)"]);
        assert_eq!(target.busy, DEFAULTS.busy);
    }

    #[test]
    fn memory_is_shared_and_has_no_log() {
        let target = of(":memory:").unwrap();
        assert_eq!(target.uri, "file::memory:?cache=shared");
        assert_eq!(target.pragmas, ["journal_mode(MEMORY)"]);
        assert!(target.is_memory());
    }

    #[test]
    fn pragmas_are_taken_in_order_and_parameters_stay() {
        let target =
            of("file:a.db?mode=ro&_pragma=cache_size%28-2000%29&_txlock=immediate").unwrap();
        assert_eq!(target.uri, "file:a.db?mode=ro");
        assert_eq!(
            target.pragmas,
            ["cache_size(-2000)", "journal_mode(DELETE)"]
        );
    }

    #[test]
    fn what_has_a_property_is_refused_in_the_string() {
        for text in ["busy_timeout(1)", "Journal_Mode(OFF)", "foreign_keys(1)"] {
            let refused = of(&format!("a.db?_pragma={text}")).unwrap_err();
            assert!(refused.contains("found forbidden option"), "{refused}");
        }
        assert!(of("a.db?_pragma=x;drop").is_err());
        assert!(of("a.db?_key=secret").unwrap_err().contains("_key"));
    }

    #[test]
    fn limits_are_read_in_their_units() {
        let read = target(&[
            ("url", "a.db"),
            ("timeoutInSeconds", "3"),
            ("busyTimeout", "5ms"),
        ]);
        let read = read.unwrap();
        assert_eq!(read.timeout, Duration::from_secs(3));
        assert_eq!(read.busy, Duration::from_millis(5));
        let refused = target(&[("url", "a.db"), ("timeout", "10ms")]).unwrap_err();
        assert!(refused.contains("greater than 1s"), "{refused}");
        assert!(target(&[]).unwrap_err().contains("connectionString"));
    }
}
