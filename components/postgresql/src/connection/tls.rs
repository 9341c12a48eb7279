//! TLS as `sslmode` and its neighbours ask for it.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use trilby_components::metadata::MetadataError;

/// How sure the client wants to be of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// No TLS.
    Disable,
    /// TLS if the server has it, whoever it is.
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// TLS, with a certificate of an authority that is trusted, for any name.
    VerifyCa,
    /// As [`Mode::VerifyCa`], for the server's name.
    VerifyFull,
}

/// What is asked of TLS. Files are PEM.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) mode: Mode,
    /// The file of the authorities that are trusted; `None` for the system's.
    pub(super) authorities: Option<String>,
    /// The file of the client's certificate.
    pub(super) certificate: Option<String>,
    /// The file of its key.
    pub(super) key: Option<String>,
}

impl Tls {
    /// What rustls is to do.
    ///
    /// # Errors
    /// A file cannot be read, or has not what it should.
    pub(super) fn config(&self) -> Result<ClientConfig, MetadataError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .dangerous() // rustls' word for any verifier but its own
            .with_custom_certificate_verifier(self.verifier(provider)?);
        match (&self.certificate, &self.key) {
            _ if self.mode == Mode::Disable => Ok(builder.with_no_client_auth()),
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(_), None) => Err(wrong("sslkey", "sslcert needs it")),
            (None, Some(_)) => Err(wrong("sslcert", "sslkey needs it")),
            (Some(certificate), Some(key)) => {
                let chain = certificates("sslcert", certificate)?;
                let pem = read("sslkey", key)?;
                let key = PrivateKeyDer::from_pem_slice(&pem)
                    .map_err(|_| wrong("sslkey", "the file has no private key, or a locked one"))?;
                let built = builder.with_client_auth_cert(chain, key);
                built.map_err(|error| wrong("sslcert", &format!("with sslkey: {error}")))
            }
        }
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, MetadataError> {
        let any_name = match self.mode {
            Mode::Disable | Mode::Prefer | Mode::Require => {
                return Ok(Arc::new(AnyServer(provider)));
            }
            Mode::VerifyCa => true,
            Mode::VerifyFull => false,
        };
        let roots = Arc::new(self.roots()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|error| wrong("sslrootcert", &error.to_string()))?;
        Ok(match any_name {
            true => Arc::new(AnyName(verifier)),
            false => verifier,
        })
    }

    fn roots(&self) -> Result<RootCertStore, MetadataError> {
        let mut roots = RootCertStore::empty();
        let (usable, _) = match &self.authorities {
            Some(file) => roots.add_parsable_certificates(certificates("sslrootcert", file)?),
            None => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
        };
        match usable {
            0 => Err(wrong(
                "sslrootcert",
                "no certificate of an authority is there",
            )),
            _ => Ok(roots),
        }
    }
}

fn certificates(what: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, MetadataError> {
    let pem = read(what, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong(
            what,
            &format!("the file {file} has no certificate in PEM"),
        )),
    }
}

/// Small files, read once, while the component starts.
fn read(what: &str, file: &str) -> Result<Vec<u8>, MetadataError> {
    let read = std::fs::read(Path::new(file));
    read.map_err(|error| wrong(what, &format!("{file}: {error}")))
}

fn wrong(parameter: &str, reason: &str) -> MetadataError {
    MetadataError::invalid(
        "connectionString",
        format!("parameter {parameter}: {reason}"),
    )
}

/// Trusts whatever certificate a server shows; the handshake's signature is still checked.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Trusts the certificates of its authorities, whatever name they have.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self
            .0
            .verify_server_cert(certificate, others, name, ocsp, now)
        {
            // The name is what is looked at last.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
