//! An X.509 SVID: a certificate chain, its private key, and the identity they prove; and the JWT SVIDs issued with it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    JwtSvids, SpiffeId, TrustBundle, pem,
    tls::crypto_provider,
    verification::{Role, VerificationError, peer_id, verify_chain},
};

/// Why certificates and a key make no SVID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SvidError {
    /// The chain cannot be read.
    #[error("certificate chain is not valid PEM: {0}")]
    Pem(String),
    /// There is no certificate.
    #[error("certificate chain is empty")]
    Empty,
    /// The leaf cannot be read.
    #[error("leaf certificate cannot be read: {0}")]
    Leaf(String),
    /// The key cannot be used, or is another certificate's.
    #[error("private key does not fit the certificate: {0}")]
    Key(String),
    /// The leaf proves no identity of ours.
    #[error(transparent)]
    Identity(VerificationError),
}

/// From when until when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl Validity {
    pub(crate) fn contains(&self, time: SystemTime) -> bool {
        self.not_before <= time && time <= self.not_after
    }
}

/// An identity with its proof. Its `Debug` shows the identity and the dates, never the key.
pub struct Svid {
    id: SpiffeId,
    validity: Validity,
    certified: Arc<CertifiedKey>,
    key: PrivateKeyDer<'static>,
    jwts: JwtSvids,
}

impl Svid {
    /// Reads a PEM chain (leaf first) with the key that was generated for it.
    ///
    /// # Errors
    /// When the chain is damaged, the key is another one's, or the leaf has not exactly one SPIFFE ID.
    pub fn from_pem(chain: &[u8], key: PrivateKeyDer<'static>) -> Result<Self, SvidError> {
        let chain = pem::certificates(chain).map_err(SvidError::Pem)?;
        Self::from_der(chain, key)
    }

    /// As [`Svid::from_pem`], from DER.
    ///
    /// # Errors
    /// As there.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, SvidError> {
        let leaf = chain.first().ok_or(SvidError::Empty)?;
        let id = peer_id(leaf).map_err(SvidError::Identity)?;
        let validity = validity(leaf).map_err(SvidError::Leaf)?;
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &crypto_provider())
            .map_err(|error| SvidError::Key(error.to_string()))?;
        Ok(Self {
            id,
            validity,
            certified: Arc::new(certified),
            key,
            jwts: JwtSvids::default(),
        })
    }

    /// With the tokens that were issued together with it.
    #[must_use]
    pub fn with_jwts(self, jwts: JwtSvids) -> Self {
        Self { jwts, ..self }
    }

    /// The tokens of the same identity.
    #[must_use]
    pub fn jwts(&self) -> &JwtSvids {
        &self.jwts
    }

    /// The private key: a secret.
    #[must_use]
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// When the first of it, certificate or token, is no longer valid.
    pub(crate) fn expiry(&self) -> SystemTime {
        let certificate = self.not_after();
        self.jwts
            .expiry()
            .map_or(certificate, |jwt| jwt.min(certificate))
    }

    /// Whom it identifies.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The first second in which it is valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.validity.not_before
    }

    /// The last second in which it is valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.validity.not_after
    }

    /// The certificates, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// Whether a peer that trusts `bundle` would accept it at `now`.
    ///
    /// # Errors
    /// What such a peer would object to.
    pub fn verify(&self, bundle: &TrustBundle, now: SystemTime) -> Result<(), VerificationError> {
        let (leaf, intermediates) = self.certified.cert.split_first().ok_or_else(|| {
            VerificationError::Certificate("certificate chain is empty".to_owned())
        })?;
        // Every SVID here is used on both sides; what serves also calls.
        for role in [Role::Server, Role::Client] {
            verify_chain(bundle, leaf, intermediates, (now, role))?;
        }
        Ok(())
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid")
            .field("id", &self.id)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// The dates of a certificate.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let time = |seconds: i64| {
        // Before 1970 nothing was issued; 1970 keeps the order.
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    };
    Ok(Validity {
        not_before: time(parsed.validity().not_before.timestamp()),
        not_after: time(parsed.validity().not_after.timestamp()),
    })
}
