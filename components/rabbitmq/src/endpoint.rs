//! Where the broker is, and how to log in there.

use std::{fmt, net::SocketAddr, time::Duration};

use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties,
    auth::AuthProvider,
    tcp::RustlsConnector,
    uri::{AMQPScheme, AMQPUri, SASLMechanism},
};
use tokio::{net::lookup_host, time::timeout};
use trilby_components::metadata::MetadataError;
use trilby_https::{Identity, Tls};

use crate::failure::Failure;

/// How long connecting and logging in may take: as long as upstream's client waits.
const CONNECT: Duration = Duration::from_secs(30);

/// A broker, and who we are to it.
pub(crate) struct Endpoint {
    uri: AMQPUri,
    /// Set where the scheme asks for TLS.
    tls: Option<RustlsConnector>,
    /// What the broker calls the connection, if it is told.
    pub(crate) name: Option<String>,
    /// Whether the client's certificate says who it is.
    pub(crate) external: bool,
}

/// PEM texts.
#[derive(Default)]
pub(crate) struct Certificates {
    /// Of the authorities that are trusted; unset trusts the system's.
    pub(crate) authorities: Option<String>,
    /// Of the client, and its key.
    pub(crate) identity: Option<(String, String)>,
}

/// Says that the certificate has said it.
struct External;

impl AuthProvider for External {}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

/// The broker at `text`, which `key` of the metadata holds.
///
/// # Errors
/// It is no address of a broker; what it is is not repeated, since it may hold a password.
pub(crate) fn parse(key: &str, text: &str) -> Result<AMQPUri, MetadataError> {
    let wrong = |_| MetadataError::invalid(key, "not amqp://user:password@host:port/vhost");
    let mut uri: AMQPUri = text.trim().parse().map_err(wrong)?;
    // As upstream's client: no virtual host is the default one, and an address of IPv6 is a host.
    if uri.vhost.is_empty() {
        uri.vhost = "/".to_owned();
    }
    if let Some(address) = ipv6(text) {
        uri.authority.host = address.to_owned();
    }
    Ok(uri)
}

/// The address between brackets, in the part that names the host.
fn ipv6(text: &str) -> Option<&str> {
    let authority = text.split_once("://")?.1.split('/').next()?;
    let host = authority.rsplit('@').next()?;
    host.strip_prefix('[')?
        .split_once(']')
        .map(|(host, _)| host)
}

impl Endpoint {
    /// The broker at `uri`.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub(crate) fn new(
        mut uri: AMQPUri,
        certificates: Certificates,
        heartbeat: Duration,
    ) -> Result<Self, MetadataError> {
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(certificates.connector()?),
        };
        let heartbeat = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX);
        if heartbeat > 0 && uri.query.heartbeat.is_none() {
            uri.query.heartbeat = Some(heartbeat);
        }
        Ok(Self {
            external: uri.query.auth_mechanism == Some(SASLMechanism::External),
            uri,
            tls,
            name: None,
        })
    }

    /// `host:port`, for messages.
    pub(crate) fn address(&self) -> String {
        let authority = &self.uri.authority;
        format!("{}:{}", authority.host, authority.port)
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// The broker is away, or refuses.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let address = self.address();
        match timeout(CONNECT, self.log_in()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Failure::of(&format!("RabbitMQ at {address}"), &error)),
            Err(_) => Err(Failure::Unavailable(format!(
                "RabbitMQ at {address}: no connection within {CONNECT:?}"
            ))),
        }
    }

    async fn log_in(&self) -> lapin::Result<Connection> {
        let mut options = ConnectionProperties::default();
        if let Some(name) = &self.name {
            options = options.with_connection_name(name.as_str().into());
        }
        if self.external {
            options = options.with_auth_provider(External);
        }
        let authority = &self.uri.authority;
        let host = authority.host.clone();
        let found = lookup_host((host.as_str(), authority.port)).await?;
        let addresses: Vec<SocketAddr> = found.collect();
        let tls = self.tls.clone();
        let open = async move |_: AMQPUri, runtime| {
            let stream = AsyncTcpStream::connect(&runtime, addresses.clone()).await?;
            match &tls {
                Some(tls) => Ok(stream.into_rustls(tls, &host).await?),
                None => Ok(stream),
            }
        };
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connector(self.uri.clone(), runtime, open, options).await
    }
}

impl Certificates {
    /// Those of the metadata.
    ///
    /// # Errors
    /// One of the client's two is missing.
    pub(crate) fn new(
        authorities: Option<&str>,
        certificate: Option<&str>,
        key: Option<&str>,
    ) -> Result<Self, MetadataError> {
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate.to_owned(), key.to_owned())),
            (None, None) => None,
            (Some(_), None) => return Err(MetadataError::Missing("clientKey".to_owned())),
            (None, Some(_)) => return Err(MetadataError::Missing("clientCert".to_owned())),
        };
        Ok(Self {
            authorities: authorities.map(ToOwned::to_owned),
            identity,
        })
    }

    /// Whether all three are there.
    pub(crate) fn complete(&self) -> bool {
        self.authorities.is_some() && self.identity.is_some()
    }

    fn connector(self) -> Result<RustlsConnector, MetadataError> {
        let tls = Tls {
            authorities: self.authorities.map(String::into_bytes),
            identity: self.identity.map(|(certificate, key)| Identity {
                certificate: certificate.into_bytes(),
                key: key.into_bytes(),
            }),
            ..Tls::default()
        };
        let invalid = |error: trilby_https::TlsError| {
            MetadataError::invalid("caCert, clientCert, clientKey", error.to_string())
        };
        tls.config().map(RustlsConnector::from).map_err(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn addresses_are_read_as_upstreams_client_reads_them() {
        let cases = [
            ("amqp://h", "h", 5672, "/"),
            ("amqp://h/", "h", 5672, "/"),
            ("amqp://u:p%40@h:1/v%2Fw", "h", 1, "v/w"),
            ("amqps://10.0.0.1", "10.0.0.1", 5671, "/"),
            ("amqp://[::1]:7", "::1", 7, "/"),
        ];
        for (text, host, port, vhost) in cases {
            let uri = parse("host", text).unwrap();
            let found = (uri.authority.host.as_str(), uri.authority.port, &*uri.vhost);
            assert_eq!(found, (host, port, vhost), "{text}");
        }
        let uri = parse("host", "amqp://u:p%40@h").unwrap();
        assert_eq!(uri.authority.userinfo.password, "p@");
        let uri = parse("host", "amqp://h").unwrap();
        assert_eq!(uri.authority.userinfo.username, "guest");
    }

    #[test]
    fn what_is_no_address_is_not_repeated() {
        for text in ["h", "http://u:secret@h", "amqp://u:secret@h:x"] {
            let error = parse("connectionString", text).unwrap_err().to_string();
            assert!(error.contains("connectionString"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
