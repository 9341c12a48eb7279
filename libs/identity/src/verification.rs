//! The SPIFFE rules by which a peer's certificate is judged: it chains to an anchor, it is a leaf, it
//! names exactly one identity. DNS names play no part.

use std::{fmt, time::SystemTime};

use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

use crate::{SpiffeId, TrustBundle, clock::unix_time, tls::crypto_provider};

/// What is wrong with a peer's certificate. `Debug` prints the text too, because TLS errors show
/// the causes they carry in that form.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    /// It cannot be read, or breaks a rule of X.509.
    #[error("invalid certificate: {0}")]
    Certificate(String),
    /// It does not chain to an anchor that is valid now, or it is outside its own dates.
    #[error("certificate is not trusted: {0}")]
    Untrusted(String),
    /// An authority's certificate used as a workload's.
    #[error("certificate may sign other certificates, so it cannot identify a workload")]
    Authority,
    /// Not exactly one URI among the alternative names.
    #[error("certificate must have exactly one URI SAN, found {0}")]
    UriCount(usize),
    /// The URI is no SPIFFE ID of ours.
    #[error(transparent)]
    SpiffeId(#[from] crate::SpiffeIdError),
    /// A well-formed identity, of somebody else.
    #[error("unexpected SPIFFE ID: \"{0}\"")]
    Unexpected(SpiffeId),
}

impl fmt::Debug for VerificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which side of a connection the certificate's owner is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// Whom a certificate identifies. Says nothing about whether it is trusted.
///
/// # Errors
/// When it cannot be read, is an authority's, or has not exactly one URI SAN that is a SPIFFE ID.
pub fn peer_id(certificate: &CertificateDer<'_>) -> Result<SpiffeId, VerificationError> {
    let invalid = |error: &dyn fmt::Display| VerificationError::Certificate(error.to_string());
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| invalid(&error))?;
    let usage = parsed.key_usage().map_err(|error| invalid(&error))?;
    if parsed.is_ca()
        || usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign())
    {
        return Err(VerificationError::Authority);
    }
    let names = parsed
        .subject_alternative_name()
        .map_err(|error| invalid(&error))?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    match uris.as_slice() {
        [uri] => Ok(uri.parse()?),
        other => Err(VerificationError::UriCount(other.len())),
    }
}

/// Checks a chain against the anchors for one moment and one role.
pub(crate) fn verify_chain(
    bundle: &TrustBundle,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    (now, role): (SystemTime, Role),
) -> Result<(), VerificationError> {
    let untrusted = |error: webpki::Error| VerificationError::Untrusted(error.to_string());
    let end_entity = EndEntityCert::try_from(leaf)
        .map_err(|error| VerificationError::Certificate(error.to_string()))?;
    let usage = match role {
        Role::Server => KeyUsage::server_auth(),
        Role::Client => KeyUsage::client_auth(),
    };
    let algorithms = crypto_provider().signature_verification_algorithms.all;
    end_entity
        .verify_for_usage(
            algorithms,
            &bundle.anchors_at(now),
            intermediates,
            unix_time(now),
            usage,
            None,
            None,
        )
        .map(|_path| ())
        .map_err(untrusted)
}
