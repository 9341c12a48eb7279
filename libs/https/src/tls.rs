//! TLS that is not the system's default.

mod verifiers;

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use verifiers::{AnyCertificate, AnyName};

/// How servers are trusted, and what is shown to them. The default trusts the system's authorities and shows nothing.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificates of authorities in PEM; unset trusts the system's.
    pub authorities: Option<Vec<u8>>,
    /// The client's certificate.
    pub identity: Option<Identity>,
    /// The name that servers' certificates are verified for; unset takes the one of the URL.
    pub server_name: Option<String>,
    /// What is verified of servers.
    pub verification: Verification,
}

/// What is verified of a server's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verification {
    /// That it was issued by an authority that is trusted, for the server's name.
    #[default]
    Full,
    /// That it was issued by an authority that is trusted, for any name.
    AnyName,
    /// Nothing: whoever is on the way can read and answer.
    Nothing,
}

/// A certificate and its key, both in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The chain, leaf first.
    pub certificate: Vec<u8>,
    /// The leaf's key.
    pub key: Vec<u8>,
}

/// What cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in PEM among the authorities.
    #[error("the authorities hold no usable certificate in PEM")]
    Authorities,
    /// The system has none.
    #[error("the system has no certificates of authorities (see SSL_CERT_FILE)")]
    System,
    /// No certificate in PEM.
    #[error("the client's certificate is none in PEM")]
    Certificate,
    /// No key in PEM.
    #[error("the client's key is none in PEM")]
    Key,
    /// Key and certificate do not belong together.
    #[error("the client's certificate and key: {0}")]
    Pair(rustls::Error),
    /// The name of the server is no name and no address.
    #[error("invalid server name {0:?}")]
    ServerName(String),
}

// === impl Identity ===

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(<redacted>)")
    }
}

// === impl Tls ===

impl Tls {
    /// What rustls is to do.
    ///
    /// # Errors
    /// Certificates or the key cannot be used, or do not belong together.
    pub fn config(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .dangerous() // rustls' word for any verifier but its own
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let Some(identity) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = CertificateDer::pem_slice_iter(&identity.certificate);
        let chain: Result<Vec<_>, _> = chain.collect();
        let chain = chain.unwrap_or_default();
        if chain.is_empty() {
            return Err(TlsError::Certificate);
        }
        let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|_| TlsError::Key)?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(TlsError::Pair)
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        if self.verification == Verification::Nothing {
            return Ok(Arc::new(AnyCertificate(provider)));
        }
        let roots = Arc::new(self.roots()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .expect("there are authorities, and no lists of what they revoked");
        Ok(match self.verification {
            Verification::AnyName => Arc::new(AnyName(verifier)),
            _ => verifier,
        })
    }

    /// The certificates of the authorities that are trusted, for clients of other protocols.
    ///
    /// # Errors
    /// There are none that can be used.
    pub fn trusted(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let mut found: Vec<_> = match &self.authorities {
            Some(pem) => CertificateDer::pem_slice_iter(pem)
                .filter_map(Result::ok)
                .collect(),
            None => rustls_native_certs::load_native_certs().certs,
        };
        found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        match (found.is_empty(), &self.authorities) {
            (true, Some(_)) => Err(TlsError::Authorities),
            (true, None) => Err(TlsError::System),
            _ => Ok(found),
        }
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.trusted()?);
        Ok(roots)
    }

    pub(crate) fn server_name(&self) -> Result<Option<ServerName<'static>>, TlsError> {
        let Some(name) = &self.server_name else {
            return Ok(None);
        };
        let parsed = ServerName::try_from(name.clone());
        parsed
            .map(Some)
            .map_err(|_| TlsError::ServerName(name.clone()))
    }
}

#[cfg(test)]
mod tests;
