//! The metadata of `state.mongodb`, with upstream's names and defaults.

use std::time::Duration;

use mongodb::options::{Acknowledgment, CollectionOptions, ReadConcern, WriteConcern};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{Metadata, MetadataError, Schema, value::Sensitive};
use trilby_go_syntax::parse_duration;

/// Upstream's default of `operationTimeout`, and its limit of a write's spread.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Metadata of the store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Everything about the connection, as a URI of MongoDB's; counts before all that follows. Transactions need it to
    /// name a `replicaSet`.
    connection_string: Option<Sensitive>,
    /// Where the server is, `host:port`, several separated by commas; this or `server`.
    host: Option<String>,
    /// The name whose SRV records say where the servers are; this or `host`.
    server: Option<String>,
    /// User name; counts together with a password.
    username: Option<String>,
    /// Password.
    password: Option<Sensitive>,
    /// The database.
    #[serde(default = "database_name")]
    database_name: String,
    /// The collection in it.
    #[serde(default = "collection_name")]
    collection_name: String,
    /// Parameters of the URI that is made of the above: `replicaSet=rs0&tls=true`.
    params: Option<String>,
    /// How many members have to have written something, or `majority`.
    #[schemars(extend("default" = "1"))]
    writeconcern: Option<String>,
    /// What is read: `local`, `available`, `majority`, `linearizable` or `snapshot`.
    #[schemars(extend("default" = "local"))]
    readconcern: Option<String>,
    /// Limit of one request, a Go duration.
    #[schemars(extend("default" = "5s"))]
    operation_timeout: Option<String>,
}

impl Schema for Settings {}

fn database_name() -> String {
    "daprStore".to_owned()
}

fn collection_name() -> String {
    "daprCollection".to_owned()
}

/// All that the store is told. It has no `Debug`: the connection string may have a password.
pub(crate) struct Config {
    pub(crate) uri: String,
    /// Where the servers are, for messages.
    pub(crate) address: String,
    pub(crate) database: String,
    pub(crate) collection: String,
    /// The concerns.
    pub(crate) options: CollectionOptions,
    /// Limit of one request.
    pub(crate) timeout: Duration,
}

impl Config {
    /// Reads the metadata.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub(crate) fn new(metadata: &Metadata) -> Result<Self, MetadataError> {
        let settings: Settings = metadata.decode()?;
        let (uri, address) = settings.uri()?;
        let options = CollectionOptions::builder()
            .write_concern(settings.write_concern()?)
            .read_concern(settings.read_concern()?)
            .build();
        Ok(Self {
            uri,
            address,
            options,
            timeout: settings.timeout()?,
            database: settings.database_name,
            collection: settings.collection_name,
        })
    }
}

impl Settings {
    fn uri(&self) -> Result<(String, String), MetadataError> {
        if let Some(uri) = &self.connection_string {
            let behind_login = uri.expose().rsplit('@').next().unwrap_or_default();
            let rest = behind_login
                .split_once("://")
                .map_or(behind_login, |(_, rest)| rest);
            let address = rest.split(['/', '?']).next().unwrap_or_default();
            return Ok((uri.expose().to_owned(), address.to_owned()));
        }
        let login = match (&self.username, &self.password) {
            (Some(name), Some(password)) => {
                format!("{}:{}@", part(name), part(password.expose()))
            }
            _ => String::new(),
        };
        let params = match self.params.as_deref() {
            Some(params) if !params.starts_with('?') => format!("?{params}"),
            other => other.unwrap_or_default().to_owned(),
        };
        let database = &self.database_name;
        match (&self.host, &self.server) {
            (Some(host), None) => Ok((
                format!("mongodb://{login}{host}/{database}{params}"),
                host.clone(),
            )),
            // Without a login, upstream names no database.
            (None, Some(server)) if login.is_empty() => {
                Ok((format!("mongodb+srv://{server}/{params}"), server.clone()))
            }
            (None, Some(server)) => Ok((
                format!("mongodb+srv://{login}{server}/{database}{params}"),
                server.clone(),
            )),
            (None, None) => Err(MetadataError::Missing("host or server".to_owned())),
            (Some(_), Some(_)) => Err(MetadataError::invalid(
                "host",
                "'host' or 'server' fields are mutually exclusive",
            )),
        }
    }

    fn write_concern(&self) -> Result<WriteConcern, MetadataError> {
        let members = match self.writeconcern.as_deref() {
            None => Acknowledgment::Nodes(1),
            Some("majority") => Acknowledgment::Majority,
            Some(number) => Acknowledgment::Nodes(number.parse().map_err(|_| {
                MetadataError::invalid("writeconcern", "it is neither a number nor majority")
            })?),
        };
        Ok(WriteConcern::builder()
            .w(members)
            .journal(true)
            .w_timeout(TIMEOUT)
            .build())
    }

    fn read_concern(&self) -> Result<ReadConcern, MetadataError> {
        Ok(match self.readconcern.as_deref() {
            None | Some("local") => ReadConcern::local(),
            Some("available") => ReadConcern::available(),
            Some("majority") => ReadConcern::majority(),
            Some("linearizable") => ReadConcern::linearizable(),
            Some("snapshot") => ReadConcern::snapshot(),
            Some(other) => {
                let reason = format!("there is no read concern {other:?}");
                return Err(MetadataError::invalid("readconcern", reason));
            }
        })
    }

    fn timeout(&self) -> Result<Duration, MetadataError> {
        let Some(text) = self.operation_timeout.as_deref() else {
            return Ok(TIMEOUT);
        };
        let wrong = |reason: String| MetadataError::invalid("operationTimeout", reason);
        match parse_duration(text) {
            Ok(Duration::ZERO) => Err(wrong("it must be more than 0".to_owned())),
            Ok(limit) => Ok(limit),
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

/// A part of the login, in a URI. Upstream puts it there as it is, so one that is in a URI's form already stays.
fn part(text: &str) -> String {
    let reserved = text.contains(['@', ':', '/', '?', '#', '[', ']', ' ']);
    let escapes = text.matches('%').count();
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    // Each escape that is one is two characters shorter when it is read.
    let escaped = decoded.len() + 2 * escapes == text.len();
    match !reserved && escaped {
        true => text.to_owned(),
        false => utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, MetadataError> {
        Config::new(&Metadata::new(pairs.iter().copied()).unwrap())
    }

    fn uri(pairs: &[(&str, &str)]) -> String {
        read(pairs).unwrap().uri
    }

    #[test]
    fn uris_are_upstreams() {
        let host = ("host", "a:1,b:2");
        assert_eq!(uri(&[host]), "mongodb://a:1,b:2/daprStore");
        let login = [("username", "u"), ("password", "p")];
        let params = ("params", "replicaSet=rs0");
        assert_eq!(
            uri(&[host, login[0], login[1], params]),
            "mongodb://u:p@a:1,b:2/daprStore?replicaSet=rs0"
        );
        let server = ("server", "x.example");
        assert_eq!(
            uri(&[server, ("params", "?ssl=false")]),
            "mongodb+srv://x.example/?ssl=false"
        );
        assert_eq!(
            uri(&[server, login[0], login[1], ("databaseName", "d")]),
            "mongodb+srv://u:p@x.example/d"
        );
        let whole = ("connectionString", "mongodb://u:p@c:3/?x=y");
        assert_eq!(uri(&[whole, host]), whole.1);
        assert_eq!(read(&[whole]).unwrap().address, "c:3");
    }

    #[test]
    fn a_password_may_have_any_character() {
        for (password, written) in [
            ("plain", "plain"),
            ("a%40b", "a%40b"),
            ("a@b", "a%40b"),
            ("100%", "100%25"),
            ("a:/?#", "a%3A%2F%3F%23"),
        ] {
            assert_eq!(part(password), written);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let host = ("host", "a:1");
        for (pairs, words) in [
            (vec![], "host or server"),
            (vec![host, ("server", "b")], "mutually exclusive"),
            (vec![host, ("writeconcern", "most")], "writeconcern"),
            (vec![host, ("readconcern", "Local")], "readconcern"),
            (vec![host, ("operationTimeout", "5")], "operationTimeout"),
            (vec![host, ("operationTimeout", "0s")], "operationTimeout"),
        ] {
            let error = read(&pairs).err().unwrap().to_string();
            assert!(error.contains(words), "{pairs:?}: {error}");
        }
        assert_eq!(read(&[host]).unwrap().timeout, Duration::from_secs(5));
    }
}
