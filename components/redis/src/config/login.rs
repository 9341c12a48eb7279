//! How to log in at a server.

use ::redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    ProtocolVersion, RedisConnectionInfo, RedisResult, TlsCertificates,
    cluster::ClusterClientBuilder,
};
use tracing::warn;
use trilby_components::metadata::{MetadataError, value::Sensitive};

use super::Properties;

/// Who one is, and how that is kept from others.
#[derive(Clone)]
pub(crate) struct Login {
    tls: bool,
    insecure: bool,
    who: RedisConnectionInfo,
    certificate: Option<TlsCertificates>,
}

impl Login {
    /// At the servers that keep data.
    pub(super) fn at_servers(properties: &Properties) -> Result<Self, MetadataError> {
        let who = RedisConnectionInfo::default().set_db(properties.redis_db);
        let (name, password) = (&properties.redis_username, &properties.redis_password);
        Self::new(properties, who, name.as_deref(), password.as_ref())
    }

    /// At the sentinels.
    pub(super) fn at_sentinels(properties: &Properties) -> Result<Self, MetadataError> {
        let (name, password) = (&properties.sentinel_username, &properties.sentinel_password);
        let who = RedisConnectionInfo::default();
        Self::new(properties, who, name.as_deref(), password.as_ref())
    }

    fn new(
        properties: &Properties,
        mut who: RedisConnectionInfo,
        name: Option<&str>,
        password: Option<&Sensitive>,
    ) -> Result<Self, MetadataError> {
        if let Some(name) = name {
            who = who.set_username(name);
        }
        if let Some(password) = password {
            who = who.set_password(password.expose());
        }
        Ok(Self {
            tls: properties.enable_tls,
            insecure: properties.insecure_skip_tls_verify,
            who,
            certificate: client_certificate(properties)?,
        })
    }

    /// The same, in another version of the protocol.
    pub(crate) fn speaking(&self, protocol: ProtocolVersion) -> Self {
        Self {
            who: self.who.clone().set_protocol(protocol),
            ..self.clone()
        }
    }

    /// The number of the database.
    pub(crate) fn database(&self) -> i64 {
        self.who.db()
    }

    /// A client of one server.
    pub(crate) fn client(&self, host: String, port: u16) -> RedisResult<Client> {
        let info = self.at(host, port)?;
        match &self.certificate {
            Some(certificate) => Client::build_with_tls(info, certificate.clone()),
            None => Client::open(info),
        }
    }

    /// What a client of a cluster starts with.
    pub(super) fn cluster(
        &self,
        addresses: Vec<(String, u16)>,
    ) -> RedisResult<ClusterClientBuilder> {
        let nodes: RedisResult<Vec<ConnectionInfo>> = addresses
            .into_iter()
            .map(|(host, port)| self.at(host, port))
            .collect();
        let builder = ClusterClientBuilder::new(nodes?);
        Ok(match &self.certificate {
            Some(certificate) => builder.certs(certificate.clone()),
            None => builder,
        })
    }

    fn at(&self, host: String, port: u16) -> RedisResult<ConnectionInfo> {
        let address = if self.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: self.insecure,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = address.into_connection_info()?;
        Ok(info.set_redis_settings(self.who.clone()))
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("tls", &self.tls)
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
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
