//! `client`: where the agent is, and how it is talked to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use serde::Deserialize;
use trilby_components::metadata::value::Sensitive;
use trilby_go_syntax::parse_bool;
use trilby_https::{Client, Identity, Tls, Verification, authorities};

use super::Error;
use crate::environment::{
    ADDRESS, AUTH, CA_FILE, CA_PATH, CERT_FILE, KEY_FILE, SERVER_NAME, SSL, SSL_VERIFY, TOKEN,
    TOKEN_FILE, Variable,
};
use crate::query::token;

/// Where Consul's agents listen.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8500";

/// `client`, in upstream's words; durations are nanoseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Told {
    address: String,
    scheme: String,
    datacenter: String,
    http_auth: Option<Auth>,
    wait_time: u64,
    token: Sensitive,
    token_file: String,
    tls_config: TlsFiles,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    username: String,
    password: Sensitive,
}

/// What TLS is made of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TlsFiles {
    address: String,
    ca_file: String,
    ca_path: String,
    cert_file: String,
    key_file: String,
    insecure_skip_verify: bool,
}

/// How the agent is reached.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `http://host:port`.
    pub(crate) base: String,
    pub(crate) authorization: Option<HeaderValue>,
    /// Where services are looked for; empty is the agent's own.
    pub(crate) datacenter: String,
    /// How long questions wait; zero is unset.
    pub(crate) wait: Duration,
    token: Option<HeaderValue>,
    /// Comes before the token.
    token_file: Option<PathBuf>,
    /// `None` talks over plain TCP.
    tls: Option<TlsFiles>,
}

impl Connection {
    /// What is not told is taken from the variables, and by default the agent is this machine's.
    ///
    /// # Errors
    /// The address or a token is none.
    pub(crate) fn new(told: Told, variable: Variable) -> Result<Self, String> {
        let or = |told: String, name: &str| match told.is_empty() {
            true => variable(name).unwrap_or_default(),
            false => told,
        };
        let address = Some(or(told.address, ADDRESS)).filter(|address| !address.is_empty());
        let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
        let ssl = flag(variable, SSL)?.unwrap_or(false);
        let scheme = match (told.scheme.as_str(), ssl) {
            ("", true) => "https",
            (told, _) => told,
        };
        let base = base(&address, scheme)?;
        let tls = base
            .starts_with("https")
            .then(|| told.tls_config.or_environment(variable))
            .transpose()?;
        let file = or(told.token_file, TOKEN_FILE);
        let text = or(told.token.expose().to_owned(), TOKEN);
        Ok(Self {
            authorization: authorization(told.http_auth, variable)?,
            datacenter: told.datacenter,
            wait: Duration::from_nanos(told.wait_time),
            token: token(&text, "client.token")?,
            token_file: (!file.is_empty()).then(|| file.into()),
            base,
            tls,
        })
    }

    /// Whether anybody is believed to be the agent.
    pub(crate) fn is_unverified(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.insecure_skip_verify)
    }

    /// The token as it is now; an empty file leaves the one that is told.
    ///
    /// # Errors
    /// Its file cannot be read, or holds none.
    pub(super) async fn token(&self) -> Result<Option<HeaderValue>, Error> {
        let Some(path) = &self.token_file else {
            return Ok(self.token.clone());
        };
        let unusable = |reason: String| Error::Token {
            file: path.display().to_string(),
            reason,
        };
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| unusable(error.to_string()))?;
        let read = token(text.trim(), "its content").map_err(unusable)?;
        Ok(read.or_else(|| self.token.clone()))
    }

    /// A client that talks to the agent as it is told.
    ///
    /// # Errors
    /// A file of TLS cannot be read or used.
    pub(super) async fn client(&self) -> Result<Client, String> {
        let tls = match &self.tls {
            Some(files) => files.read().await?,
            // Nothing is verified over plain TCP: the system's authorities need not be loaded.
            None => Tls {
                verification: Verification::Nothing,
                ..Tls::default()
            },
        };
        Client::with_tls(&tls).map_err(|error| format!("client.tlsConfig: {error}"))
    }
}

/// `scheme://address`; a scheme in the address may ask for TLS, and never for less.
fn base(address: &str, scheme: &str) -> Result<String, String> {
    let (in_address, authority) = match address.split_once("://") {
        Some((scheme, authority)) => (scheme, authority),
        None => ("", address),
    };
    let scheme = match (in_address, scheme) {
        ("https", _) | ("" | "http", "https") => "https",
        ("" | "http", "" | "http") => "http",
        ("" | "http", other) => return Err(format!("client.scheme: unknown scheme {other:?}")),
        ("unix", _) => {
            return Err("client.address: sockets of the Unix domain are not there yet".to_owned());
        }
        (other, _) => return Err(format!("client.address: unknown scheme {other:?}")),
    };
    let base = format!("{scheme}://{}", authority.trim_end_matches('/'));
    let parsed: Result<Uri, _> = base.parse();
    match parsed {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(base),
        _ => Err(format!("client.address: {address:?} is no address")),
    }
}

fn flag(variable: Variable, name: &str) -> Result<Option<bool>, String> {
    let Some(text) = variable(name) else {
        return Ok(None);
    };
    let flag = parse_bool(&text).map_err(|error| format!("{name}: {error}"))?;
    Ok(Some(flag))
}

fn authorization(told: Option<Auth>, variable: Variable) -> Result<Option<HeaderValue>, String> {
    let pair = match told {
        Some(Auth { username, password }) => format!("{username}:{}", password.expose()),
        None => match variable(AUTH) {
            Some(pair) if pair.contains(':') => pair,
            Some(user) => format!("{user}:"),
            None => return Ok(None),
        },
    };
    let value = format!("Basic {}", STANDARD.encode(pair));
    let value = HeaderValue::try_from(value);
    let mut value = value.map_err(|_| "client.httpAuth: no text of a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl TlsFiles {
    fn or_environment(self, variable: Variable) -> Result<Self, String> {
        let or = |told: String, name: &str| match told.is_empty() {
            true => variable(name).unwrap_or_default(),
            false => told,
        };
        let verify = flag(variable, SSL_VERIFY)?.unwrap_or(true);
        Ok(Self {
            address: or(self.address, SERVER_NAME),
            ca_file: or(self.ca_file, CA_FILE),
            ca_path: or(self.ca_path, CA_PATH),
            cert_file: or(self.cert_file, CERT_FILE),
            key_file: or(self.key_file, KEY_FILE),
            insecure_skip_verify: self.insecure_skip_verify || !verify,
        })
    }

    async fn read(&self) -> Result<Tls, String> {
        let authorities = match (self.ca_file.as_str(), self.ca_path.as_str()) {
            ("", "") => None,
            ("", folder) => {
                let read = authorities::in_folder(Path::new(folder)).await;
                Some(read.map_err(|error| format!("client.tlsConfig.caPath: {error}"))?)
            }
            (file, _) => Some(content("caFile", file).await?),
        };
        let identity = match (self.cert_file.as_str(), self.key_file.as_str()) {
            ("", "") => None,
            ("", _) | (_, "") => {
                return Err("client.tlsConfig: certFile and keyFile belong together".to_owned());
            }
            (certificate, key) => Some(Identity {
                certificate: content("certFile", certificate).await?,
                key: content("keyFile", key).await?,
            }),
        };
        let verification = match self.insecure_skip_verify {
            true => Verification::Nothing,
            false => Verification::Full,
        };
        Ok(Tls {
            authorities,
            identity,
            server_name: Some(self.address.clone()).filter(|name| !name.is_empty()),
            verification,
        })
    }
}

async fn content(setting: &str, path: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    let content = authorities::in_file(path.as_ref()).await;
    content.map_err(|error| format!("client.tlsConfig.{setting}: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Connection;
    use crate::environment::Variable;

    fn connection(told: Value, variable: Variable) -> Result<Connection, String> {
        Connection::new(serde_json::from_value(told).unwrap(), variable)
    }

    fn base(told: Value) -> Result<String, String> {
        connection(told, |_| None).map(|connection| connection.base)
    }

    #[test]
    fn the_agent_is_this_machines_unless_told_otherwise() {
        assert_eq!(base(json!({})).unwrap(), "http://127.0.0.1:8500");
        assert_eq!(
            base(json!({ "address": "consul:80" })).unwrap(),
            "http://consul:80"
        );
    }

    #[test]
    fn tls_is_asked_for_by_scheme_or_address() {
        for told in [
            json!({ "address": "c:1", "scheme": "https" }),
            json!({ "address": "https://c:1" }),
            json!({ "address": "http://c:1/", "scheme": "https" }),
        ] {
            assert_eq!(base(told).unwrap(), "https://c:1");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let refusal = |address: &str| base(json!({ "address": address })).unwrap_err();
        assert!(refusal("unix:///run/consul.sock").contains("are not there yet"));
        assert!(refusal("ftp://c:1").contains("unknown scheme \"ftp\""));
        assert!(refusal("a b").contains("\"a b\" is no address"));
        let scheme = json!({ "scheme": "tcp" });
        assert!(base(scheme).unwrap_err().contains("client.scheme"));
    }

    #[test]
    fn the_environment_fills_in_what_is_not_told() {
        let variable: Variable = |name| match name {
            "CONSUL_HTTP_ADDR" => Some("c:1".to_owned()),
            "CONSUL_HTTP_SSL" => Some("true".to_owned()),
            "CONSUL_HTTP_SSL_VERIFY" => Some("false".to_owned()),
            "CONSUL_HTTP_TOKEN" => Some("of the environment".to_owned()),
            "CONSUL_HTTP_AUTH" => Some("me:secret".to_owned()),
            _ => None,
        };
        let by_environment = connection(json!({}), variable).unwrap();
        assert_eq!(by_environment.base, "https://c:1");
        assert!(by_environment.is_unverified());
        assert_eq!(by_environment.token.unwrap(), "of the environment");
        assert_eq!(by_environment.authorization.unwrap(), "Basic bWU6c2VjcmV0");
        let told = json!({ "token": "told", "address": "d:2", "httpAuth": { "username": "you" } });
        let told = connection(told, variable).unwrap();
        assert_eq!(told.base, "https://d:2");
        assert_eq!(told.token.unwrap(), "told");
        assert_eq!(told.authorization.unwrap(), "Basic eW91Og==");
        let neither = connection(json!({}), |_| Some("maybe".to_owned())).unwrap_err();
        assert!(neither.starts_with("CONSUL_HTTP_SSL: "), "{neither}");
    }

    #[tokio::test]
    async fn files_that_cannot_be_read_are_named() {
        let with = async |tls: Value| {
            let told = json!({ "scheme": "https", "tlsConfig": tls });
            let connection = connection(told, |_| None).unwrap();
            connection.client().await.unwrap_err()
        };
        let missing = with(json!({ "caFile": "/nowhere/ca.pem" })).await;
        assert!(
            missing.starts_with("client.tlsConfig.caFile: /nowhere/ca.pem: "),
            "{missing}"
        );
        let half = with(json!({ "certFile": "a" })).await;
        assert!(half.contains("belong together"), "{half}");
    }

    #[test]
    fn secrets_stay_out_of_the_log() {
        let told = json!({ "token": "hush", "httpAuth": { "username": "u", "password": "hush" } });
        let shown = format!("{:?}", connection(told, |_| None).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
    }
}
