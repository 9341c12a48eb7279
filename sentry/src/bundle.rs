//! The authority's own documents: trust anchors, issuer chain, issuer key. Read here, made by a [source](crate::source).

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use rcgen::KeyPair;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use trilby_identity::{BundleError, TrustBundle, pem};
use x509_parser::{
    prelude::{FromDer as _, X509Certificate},
    time::ASN1Time,
};

use crate::{
    rotation::{RotationDocuments, roots},
    signatures::is_signed_by,
    tokens::TokenDocuments,
};

/// The documents as they are stored, byte for byte. `Debug` shows sizes only: some are private keys.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Documents {
    /// Trust anchors, PEM.
    pub(crate) ca: Vec<u8>,
    /// Issuer certificate and what lies between it and an anchor, PEM.
    pub(crate) issuer: Vec<u8>,
    /// The issuer's private key, PEM.
    pub(crate) key: Vec<u8>,
    /// The root's private key, PEM, if this authority made the root: with it, issuers are renewed. Upstream keeps
    /// none, and overlooks ours.
    pub(crate) root_key: Option<Vec<u8>>,
    /// What tokens are signed with, where any are.
    pub(crate) tokens: Option<TokenDocuments>,
    /// How a rotation of the root stands, and what it has prepared.
    pub(crate) rotation: RotationDocuments,
}

/// Documents that fit together: an authority that can sign.
pub(crate) struct Bundle {
    pub(crate) anchors: TrustBundle,
    /// What goes out with every leaf: issuer first, nothing self-signed.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The certificate that signs.
    pub(crate) issuer: CertificateDer<'static>,
    pub(crate) key: KeyPair,
    /// When the signing certificate began.
    pub(crate) not_before: SystemTime,
    /// When the first certificate of the path to the root ends: no leaf outlives it.
    pub(crate) not_after: SystemTime,
    /// When the root ends that the chain leads to.
    pub(crate) root_not_after: SystemTime,
}

/// Why documents make no authority.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("ca.crt: {0}")]
    Anchors(#[from] BundleError),
    #[error("ca.crt: certificate number {0} is not self-signed")]
    AnchorNotSelfSigned(usize),
    #[error("issuer.crt: {0}")]
    Issuer(String),
    #[error("issuer.crt: certificate number {0} is not signed by the one after it")]
    ChainBroken(usize),
    #[error("issuer.crt: the first certificate may not sign certificates")]
    NotAnAuthority,
    #[error("issuer.key: {0}")]
    Key(String),
    #[error("issuer.key is not the key of issuer.crt")]
    ForeignKey,
    #[error("issuer.crt: not valid since {0} seconds after 1970")]
    Expired(u64),
}

// === impl Documents ===

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ca, issuer) = (self.ca.len(), self.issuer.len());
        write!(f, "Documents(ca: {ca} bytes, issuer: {issuer} bytes)")
    }
}

// === impl Bundle ===

impl Bundle {
    /// Checks that the documents are an authority at `now`. Whether a peer accepts what it signs is
    /// for [`crate::issuer::Issuer`] to prove.
    pub(crate) fn read(documents: &Documents, now: SystemTime) -> Result<Self, DocumentError> {
        let anchors = anchors(&documents.ca)?;
        let chain = issuer_chain(&documents.issuer)?;
        let key = issuer_key(&documents.key)?;
        let issuer = chain[0].clone();
        let parsed = parse(&issuer).map_err(DocumentError::Issuer)?;
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(DocumentError::ForeignKey);
        }
        let not_before = time_of(parsed.validity().not_before);
        // Without a root peers refuse whatever is signed; when it ends plays no part then.
        let (not_after, root_not_after) = match longest_path(&documents.ca, &chain) {
            Some(path) => path,
            None => chain_end(&chain).map(|end| (end, end))?,
        };
        if not_after <= now {
            return Err(DocumentError::Expired(unix_seconds(not_after)));
        }
        let chain = chain
            .into_iter()
            .filter(|certificate| !is_self_signed(certificate))
            .collect();
        Ok(Self {
            anchors,
            chain,
            issuer,
            key,
            not_before,
            not_after,
            root_not_after,
        })
    }
}

fn anchors(ca: &[u8]) -> Result<TrustBundle, DocumentError> {
    let anchors = TrustBundle::from_pem(ca)?;
    let certificates =
        pem::certificates(ca).map_err(|error| DocumentError::Anchors(BundleError::Pem(error)))?;
    match certificates.iter().position(|c| !is_self_signed(c)) {
        Some(index) => Err(DocumentError::AnchorNotSelfSigned(index + 1)),
        None => Ok(anchors),
    }
}

/// The issuer's certificates, in order, each signed by the next. Never empty.
fn issuer_chain(issuer: &[u8]) -> Result<Vec<CertificateDer<'static>>, DocumentError> {
    let chain = pem::certificates(issuer).map_err(DocumentError::Issuer)?;
    let parsed = chain
        .iter()
        .map(|certificate| parse(certificate))
        .collect::<Result<Vec<_>, _>>()
        .map_err(DocumentError::Issuer)?;
    let first = parsed
        .first()
        .ok_or_else(|| DocumentError::Issuer("contains no certificate".to_owned()))?;
    if !may_sign(first) {
        return Err(DocumentError::NotAnAuthority);
    }
    for (index, pair) in parsed.windows(2).enumerate() {
        if !is_signed_by(&pair[0], pair[1].public_key()) {
            return Err(DocumentError::ChainBroken(index + 1));
        }
    }
    Ok(chain)
}

fn issuer_key(key: &[u8]) -> Result<KeyPair, DocumentError> {
    let der = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| DocumentError::Key(error.to_string()))?;
    KeyPair::try_from(&der).map_err(|error| DocumentError::Key(error.to_string()))
}

fn chain_end(chain: &[CertificateDer<'_>]) -> Result<SystemTime, DocumentError> {
    let ends = chain
        .iter()
        .map(|certificate| parse(certificate).map(|parsed| time_of(parsed.validity().not_after)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(DocumentError::Issuer)?;
    Ok(ends.into_iter().min().unwrap_or(SystemTime::UNIX_EPOCH))
}

/// When the path from the issuer to an anchor ends that holds longest, and when its anchor does; `None` if there is
/// no path. What stands behind that path, such as a bridge to an older anchor, ends by itself.
fn longest_path(ca: &[u8], chain: &[CertificateDer<'_>]) -> Option<(SystemTime, SystemTime)> {
    let anchors = roots::roots(ca);
    let path = roots::longest_path(&anchors, chain)?;
    Some((path.end, path.root.not_after))
}

fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage().ok().flatten();
    certificate.is_ca() && usage.is_none_or(|usage| usage.value.key_cert_sign())
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_ok_and(|parsed| is_signed_by(&parsed, parsed.public_key()))
}

pub(crate) fn parse<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, String> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| parsed)
        .map_err(|error| error.to_string())
}

/// A date of a certificate. Before 1970 nothing was issued; 1970 keeps the order.
pub(crate) fn time_of(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Seconds since 1970.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests;
