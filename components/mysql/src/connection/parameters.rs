//! What the parameters of a connection string mean.

use std::time::Duration;

use mysql_async::{Compression, OptsBuilder};
use tracing::warn;
use trilby_components::metadata::MetadataError;
use trilby_go_syntax::parse_duration;

use super::tls::Mode;

/// Parameters with a meaning of their own here.
const READ: &[&str] = &[
    "allowCleartextPasswords",
    "allowNativePasswords",
    "allowOldPasswords",
    "compress",
    "maxAllowedPacket",
    "timeout",
    "tls",
];
/// Parameters of Go's driver about what there is not, or is done in any case.
const OF_THE_DRIVER: &[&str] = &[
    "allowAllFiles",
    "allowFallbackToPlaintext",
    "checkConnLiveness",
    "columnsWithAlias",
    "interpolateParams",
    "multiStatements",
    "parseTime",
    "rejectReadOnly",
    "timeTruncate",
];
/// Parameters of Go's driver that somebody may miss.
const WITHOUT_EFFECT: &[&str] = &[
    "charset",
    "clientFoundRows",
    "collation",
    "connectionAttributes",
    "loc",
    "readTimeout",
    "writeTimeout",
];
/// Variables of the session that tables of ours need as they are.
const OURS: &[&str] = &["time_zone", "sql_mode"];
/// Those that are not there yet: to go on without them would be another connection than the one asked for.
const REFUSED: &[&str] = &["serverPubKey"];

/// The parameters of a connection.
pub(super) struct Parameters<'a>(&'a [(String, String)]);

impl<'a> Parameters<'a> {
    /// # Errors
    /// One is not there yet.
    pub(super) fn new(given: &'a [(String, String)]) -> Result<Self, MetadataError> {
        let parameters = Self(given);
        if let Some(name) = REFUSED.iter().find(|name| parameters.get(name).is_some()) {
            return Err(wrong(name, "not there yet in this sidecar"));
        }
        if parameters.flag("allowNativePasswords")? == Some(false) {
            return Err(wrong(
                "allowNativePasswords",
                "it cannot be false in this sidecar",
            ));
        }
        let idle: Vec<_> = WITHOUT_EFFECT
            .iter()
            .filter(|name| parameters.get(name).is_some())
            .collect();
        if !idle.is_empty() {
            warn!(parameters = ?idle, "parameters of the connection string have no effect");
        }
        Ok(parameters)
    }

    /// The last one of this name.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A boolean, in the words of Go's driver.
    fn flag(&self, name: &str) -> Result<Option<bool>, MetadataError> {
        match self.get(name) {
            None => Ok(None),
            Some("1" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(_) => Err(wrong(name, "it is neither true nor false")),
        }
    }

    /// How the server proves itself.
    ///
    /// # Errors
    /// There is no such way.
    pub(super) fn tls_mode(&self) -> Result<Mode, MetadataError> {
        match self.get("tls").map(str::to_lowercase).as_deref() {
            None | Some("" | "0" | "false") => Ok(Mode::Disabled),
            Some("1" | "true") => Ok(Mode::System),
            Some("skip-verify") => Ok(Mode::Unverified),
            Some("preferred") => Ok(Mode::Preferred),
            Some("custom") => Ok(Mode::Custom),
            Some(_) => Err(wrong(
                "tls",
                "expected one of false, true, skip-verify, preferred, custom",
            )),
        }
    }

    /// How long a connection may take to come about, if that is said.
    ///
    /// # Errors
    /// It is no Go duration.
    pub(super) fn dial(&self) -> Result<Option<Duration>, MetadataError> {
        let Some(text) = self.get("timeout") else {
            return Ok(None);
        };
        let limit = parse_duration(text).map_err(|error| wrong("timeout", &error.to_string()))?;
        Ok(Some(limit).filter(|limit| !limit.is_zero()))
    }

    /// Adds what the driver is to know.
    ///
    /// # Errors
    /// A value makes no sense.
    pub(super) fn apply(&self, options: OptsBuilder) -> Result<OptsBuilder, MetadataError> {
        let compression = match self.flag("compress")? {
            Some(true) => Some(Compression::default()),
            Some(false) | None => None,
        };
        let packet: Option<usize> = match self.get("maxAllowedPacket") {
            None => None,
            Some(text) => match text.parse() {
                // As in Go's driver: the server's.
                Ok(0) => None,
                Ok(most) => Some(most),
                Err(_) => return Err(wrong("maxAllowedPacket", "it is no number of bytes")),
            },
        };
        Ok(options
            .enable_cleartext_plugin(self.flag("allowCleartextPasswords")? == Some(true))
            .secure_auth(self.flag("allowOldPasswords")? != Some(true))
            .compression(compression)
            .max_allowed_packet(packet))
    }

    /// The statement that a connection begins with. Times are UTC, and the server ends by itself what it works on for
    /// longer than `limit`, in the words of either server, unless the user says something else.
    ///
    /// # Errors
    /// A parameter has a name that no variable can have.
    pub(super) fn session(&self, limit: Duration) -> Result<String, MetadataError> {
        let mut words = vec!["SET time_zone = '+00:00'".to_owned()];
        // Without it, servers would cut what does not fit.
        words.push("sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'".to_owned());
        words.push(format!(
            "innodb_lock_wait_timeout = {}",
            limit.as_secs().max(1)
        ));
        for (name, value) in self.variables()? {
            if OURS.contains(&name) {
                warn!(
                    variable = name,
                    "this variable of the session is the sidecar's to set"
                );
                continue;
            }
            words.push(format!("{name} = {value}"));
        }
        Ok(format!("{} {}", words.join(", "), self.limits(limit)))
    }

    /// The statement that a connection begins with whose statements are the callers': all that is set is what the user
    /// says, and `limit`.
    ///
    /// # Errors
    /// As [`Parameters::session`].
    pub(super) fn session_of_callers(&self, limit: Duration) -> Result<String, MetadataError> {
        let variables = self.variables()?.into_iter();
        let words = variables.map(|(name, value)| format!(", {name} = {value}"));
        let words: String = words.collect();
        // A variable that means nothing: the limits begin with a comma.
        Ok(format!("SET @trilby = 1{words} {}", self.limits(limit)))
    }

    /// How long the server works on a statement, in the words of either, unless the user says something else.
    fn limits(&self, limit: Duration) -> String {
        let own_limit = ["max_statement_time", "max_execution_time"];
        if own_limit.iter().any(|name| self.get(name).is_some()) {
            return String::new();
        }
        let (seconds, milliseconds) = (limit.as_secs().max(1), limit.as_millis().max(1));
        format!(
            "/*M!100101 , max_statement_time = {seconds} */ /*!50708 , max_execution_time = {milliseconds} */"
        )
    }

    /// What is a variable of the session, as it is for Go's driver.
    fn variables(&self) -> Result<Vec<(&str, &str)>, MetadataError> {
        let mut found = Vec::new();
        for (name, value) in self.0 {
            let known = [READ, OF_THE_DRIVER, WITHOUT_EFFECT];
            if known.iter().any(|names| names.contains(&name.as_str())) {
                continue;
            }
            let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@".contains(&byte);
            if name.is_empty() || !name.bytes().all(inside) {
                return Err(wrong(
                    "",
                    "a parameter has a name that no variable can have",
                ));
            }
            found.push((name.as_str(), value.as_str()));
        }
        Ok(found)
    }
}

/// The value is not repeated: it may be a secret.
fn wrong(parameter: &str, reason: &str) -> MetadataError {
    MetadataError::invalid(
        "connectionString",
        format!("parameter {parameter}: {reason}"),
    )
}
