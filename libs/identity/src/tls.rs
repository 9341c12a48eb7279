//! TLS configurations that read the current identity at every handshake.
//!
//! Sessions are never resumed: a resumed session skips the check of the peer's certificate, so an
//! expired peer, or one whose anchor was withdrawn, could come back. Connections live long here,
//! so the full handshake costs little.

use std::{
    io,
    sync::{Arc, LazyLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    ServerConfig, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};

use crate::{
    Identity, SpiffeId, VerificationError,
    clock::TlsTime,
    verification::{Role, peer_id, verify_chain},
};

/// Whether a server asks its clients for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A client without a valid SVID is refused in the handshake.
    Required,
    /// Clients stay anonymous, and authenticate otherwise or not at all.
    None,
}

/// Whom a client accepts as server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// This identity, to the letter.
    Exact(SpiffeId),
    /// This workload, in any trust domain that the anchors vouch for.
    Workload {
        /// The namespace it runs in.
        namespace: String,
        /// Its app ID.
        app_id: String,
    },
    /// Anybody that the anchors vouch for.
    Any,
}

/// The one implementation of cryptography that every configuration names explicitly.
#[must_use]
pub fn crypto_provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// The reason for which a handshake failed, in words meant for people: the verdict on the peer's
/// certificate if there was one, otherwise the error as it is.
#[must_use]
pub fn handshake_failure(error: &io::Error) -> String {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(reason)))) => {
            reason.to_string()
        }
        Some(tls) => tls.to_string(),
        None => error.to_string(),
    }
}

impl Identity {
    /// What a server needs: TLS 1.2 or later, the current SVID, and the peer's check.
    ///
    /// Until the first SVID is there, handshakes are refused.
    #[must_use]
    pub fn server_tls(&self, client_auth: ClientAuth) -> Arc<ServerConfig> {
        let builder =
            ServerConfig::builder_with_details(crypto_provider(), Arc::new(TlsTime(self.clock())))
                .with_safe_default_protocol_versions()
                .expect("the provider supports TLS 1.2 and 1.3");
        let builder = match client_auth {
            ClientAuth::Required => builder.with_client_cert_verifier(Arc::new(Verifier {
                identity: self.clone(),
                expect: Expect::Any,
            })),
            ClientAuth::None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(CurrentCertificate(self.clone())));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }

    /// What a client needs: TLS 1.2 or later, a server that `expect` accepts, and the current SVID
    /// when the server asks for one (none is presented as long as there is none).
    #[must_use]
    pub fn client_tls(&self, expect: Expect) -> Arc<ClientConfig> {
        let mut config =
            ClientConfig::builder_with_details(crypto_provider(), Arc::new(TlsTime(self.clock())))
                .with_safe_default_protocol_versions()
                .expect("the provider supports TLS 1.2 and 1.3")
                .dangerous() // rustls' word for any verifier that is not about DNS names
                .with_custom_certificate_verifier(Arc::new(Verifier {
                    identity: self.clone(),
                    expect,
                }))
                .with_client_cert_resolver(Arc::new(CurrentCertificate(self.clone())));
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Arc::new(config)
    }
}

/// Presents whatever SVID is current.
#[derive(Debug)]
struct CurrentCertificate(Identity);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.current().map(|svid| svid.certified_key())
    }
}

impl ResolvesClientCert for CurrentCertificate {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.0.current().map(|svid| svid.certified_key())
    }

    fn has_certs(&self) -> bool {
        self.0.current().is_some()
    }
}

/// Judges the peer by the SPIFFE rules, with the bundle and the clock of the moment.
#[derive(Debug)]
struct Verifier {
    identity: Identity,
    expect: Expect,
}

impl Verifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        role: Role,
    ) -> Result<(), Error> {
        let refuse = |error: VerificationError| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
        };
        let moment = (self.identity.clock().now(), role);
        let bundle = self.identity.current_bundle();
        verify_chain(&bundle, leaf, intermediates, moment).map_err(refuse)?;
        let id = peer_id(leaf).map_err(refuse)?;
        if self.expect.accepts(&id) {
            Ok(())
        } else {
            Err(refuse(VerificationError::Unexpected(id)))
        }
    }
}

impl Expect {
    fn accepts(&self, id: &SpiffeId) -> bool {
        match self {
            Self::Exact(expected) => expected == id,
            Self::Workload { namespace, app_id } => id.is_workload(namespace, app_id),
            Self::Any => true,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, Role::Server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &crypto_provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &crypto_provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hint: a client has one certificate and shall present it.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, Role::Client)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

#[cfg(test)]
mod tests;
