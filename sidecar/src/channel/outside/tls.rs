//! TLS towards hosts outside: which anchors are trusted, and which certificate is shown.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

/// The anchors of this machine, read when they are needed first. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct SystemTrust(Arc<System>);

#[derive(Debug, Default)]
struct System {
    anchors: OnceCell<Arc<RootCertStore>>,
    config: OnceCell<Arc<ClientConfig>>,
}

/// What a client trusts and shows.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The machine's anchors; no certificate is shown.
    System(SystemTrust),
    /// As configured.
    Own(Arc<ClientConfig>),
}

/// TLS as it is configured, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Anchors; without them, those of the machine are trusted.
    pub root_ca: Option<String>,
    /// The client's certificate chain.
    pub certificate: Option<String>,
    /// The certificate's key.
    pub private_key: Option<String>,
}

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    /// The anchors are unusable.
    #[error("clientTLS.rootCA holds no usable certificate in PEM")]
    RootCa,
    /// The certificate chain is unusable.
    #[error("clientTLS.certificate holds no usable certificate in PEM")]
    Certificate,
    /// Only one of the two was given.
    #[error("clientTLS needs certificate and privateKey together, only one of them is there")]
    Half,
    /// The key is unusable.
    #[error("clientTLS.privateKey holds no usable key in PEM")]
    PrivateKey,
    /// Key and certificate do not belong together.
    #[error("clientTLS: {0}")]
    Pair(rustls::Error),
    /// The machine has no anchors.
    #[error("{0}")]
    System(io::Error),
}

impl SystemTrust {
    async fn anchors(&self) -> io::Result<Arc<RootCertStore>> {
        let read = || async {
            tokio::task::spawn_blocking(read_anchors)
                .await
                .map_err(io::Error::other)?
        };
        self.0.anchors.get_or_try_init(read).await.cloned()
    }

    async fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let build = || async {
            let config = builder()
                .with_root_certificates(self.anchors().await?)
                .with_no_client_auth();
            Ok::<_, io::Error>(with_alpn(config))
        };
        self.0.config.get_or_try_init(build).await.cloned()
    }
}

fn read_anchors() -> io::Result<Arc<RootCertStore>> {
    let found = rustls_native_certs::load_native_certs();
    let mut anchors = RootCertStore::empty();
    let (usable, _) = anchors.add_parsable_certificates(found.certs);
    if usable == 0 {
        let reason = found.errors.first().map_or_else(
            || "none were found".to_owned(),
            std::string::ToString::to_string,
        );
        return Err(io::Error::other(format!(
            "this machine has no certificates to trust (see SSL_CERT_FILE): {reason}"
        )));
    }
    Ok(Arc::new(anchors))
}

impl Trust {
    /// As `tls` says.
    ///
    /// # Errors
    /// Something in it cannot be used.
    pub async fn configured(tls: &ClientTls, system: &SystemTrust) -> Result<Self, InvalidTls> {
        if tls == &ClientTls::default() {
            return Ok(Self::System(system.clone()));
        }
        let anchors = match &tls.root_ca {
            Some(pem) => Arc::new(anchors_in(pem)?),
            None => system.anchors().await.map_err(InvalidTls::System)?,
        };
        let builder = builder().with_root_certificates(anchors);
        let config = match (&tls.certificate, &tls.private_key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(chain_in(certificate)?, key_in(key)?)
                .map_err(InvalidTls::Pair)?,
            _ => return Err(InvalidTls::Half),
        };
        Ok(Self::Own(with_alpn(config)))
    }

    pub(super) async fn connector(&self) -> io::Result<TlsConnector> {
        Ok(match self {
            Self::System(system) => system.config().await?.into(),
            Self::Own(config) => Arc::clone(config).into(),
        })
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(trilby_identity::crypto_provider())
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
}

fn with_alpn(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn anchors_in(pem: &str) -> Result<RootCertStore, InvalidTls> {
    let mut anchors = RootCertStore::empty();
    let parsed = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
    match anchors.add_parsable_certificates(parsed) {
        (0, _) => Err(InvalidTls::RootCa),
        _ => Ok(anchors),
    }
}

fn chain_in(pem: &str) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or(InvalidTls::Certificate)
}

fn key_in(pem: &str) -> Result<PrivateKeyDer<'static>, InvalidTls> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| InvalidTls::PrivateKey)
}

#[cfg(test)]
mod tests {
    use super::{ClientTls, InvalidTls, SystemTrust, Trust};

    async fn refused(tls: ClientTls) -> InvalidTls {
        Trust::configured(&tls, &SystemTrust::default())
            .await
            .unwrap_err()
    }

    fn pair() -> (String, String) {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (signed.cert.pem(), signed.signing_key.serialize_pem())
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_named() {
        let (certificate, key) = pair();
        let (_, other_key) = pair();
        let root_ca = Some(certificate.clone());
        let nonsense = refused(ClientTls {
            root_ca: Some("nonsense".to_owned()),
            ..ClientTls::default()
        });
        assert!(matches!(nonsense.await, InvalidTls::RootCa));
        let half = refused(ClientTls {
            root_ca: root_ca.clone(),
            certificate: Some(certificate.clone()),
            private_key: None,
        });
        assert!(matches!(half.await, InvalidTls::Half));
        let swapped = refused(ClientTls {
            root_ca: root_ca.clone(),
            certificate: Some(key),
            private_key: Some(certificate.clone()),
        });
        assert!(matches!(swapped.await, InvalidTls::Certificate));
        let foreign = refused(ClientTls {
            root_ca,
            certificate: Some(certificate),
            private_key: Some(other_key),
        });
        assert!(matches!(foreign.await, InvalidTls::Pair(_)));
    }
}
