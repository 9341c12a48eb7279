//! The certificates whose signatures this process believes.

use std::{fmt, time::SystemTime};

use aws_lc_rs::digest;
use rustls_pki_types::TrustAnchor;
use webpki::anchor_from_trusted_cert;

use crate::{
    pem,
    svid::{Validity, validity},
};

/// Under which name a client tells an authority which anchors it trusts: their [fingerprints](TrustBundle::fingerprints),
/// with commas between. An extension of ours to upstream's protocol.
pub const TRUST_ANCHORS_METADATA: &str = "dapr-trust-anchors";

/// The most anchors that are told and listened to.
pub const MAX_TOLD_ANCHORS: usize = 16;

/// Why a text is no trust bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A PEM block is damaged.
    #[error("trust anchors are not valid PEM: {0}")]
    Pem(String),
    /// There is no certificate at all.
    #[error("trust anchors contain no certificate")]
    Empty,
    /// A certificate that cannot be read.
    #[error("trust anchor number {position} is not a usable certificate: {reason}")]
    Certificate {
        /// Its place in the text, from 1.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// An immutable set of trust anchors. Equal when the anchors are, in the same order.
#[derive(Clone)]
pub struct TrustBundle {
    pem: String,
    anchors: Vec<(TrustAnchor<'static>, Validity)>,
}

impl TrustBundle {
    /// Trusts nobody: the bundle of a process that waits for its anchors.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            pem: String::new(),
            anchors: Vec::new(),
        }
    }

    /// Reads one or more certificates. They are trusted as they stand: a valid chain above them is
    /// not asked for.
    ///
    /// # Errors
    /// When there is none, or one of them is damaged.
    pub fn from_pem(text: &[u8]) -> Result<Self, BundleError> {
        let certificates = pem::certificates(text).map_err(BundleError::Pem)?;
        if certificates.is_empty() {
            return Err(BundleError::Empty);
        }
        let mut anchors = Vec::with_capacity(certificates.len());
        for (index, certificate) in certificates.iter().enumerate() {
            let unusable = |reason: String| BundleError::Certificate {
                position: index + 1,
                reason,
            };
            let anchor = anchor_from_trusted_cert(certificate)
                .map_err(|error| unusable(error.to_string()))?
                .to_owned();
            let validity = validity(certificate).map_err(unusable)?;
            anchors.push((anchor, validity));
        }
        Ok(Self {
            pem: pem::encode_certificates(&certificates),
            anchors,
        })
    }

    /// The anchors, re-encoded: what stood between the certificates is gone.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of each anchor, hexadecimal, in their order.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        let certificates = pem::certificates(self.pem.as_bytes());
        let certificates = certificates.expect("it was encoded here");
        let digests = certificates
            .iter()
            .map(|certificate| digest::digest(&digest::SHA256, certificate));
        let hex = |digest: digest::Digest| {
            let bytes = digest.as_ref().iter();
            bytes.map(|byte| format!("{byte:02x}")).collect()
        };
        digests.map(hex).collect()
    }

    /// How many anchors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether it trusts nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// The anchors that are valid at `now`: an expired root vouches for nobody.
    pub(crate) fn anchors_at(&self, now: SystemTime) -> Vec<TrustAnchor<'_>> {
        self.anchors
            .iter()
            .filter(|(_, validity)| validity.contains(now))
            .map(|(anchor, _)| TrustAnchor {
                subject: anchor.subject.as_ref().into(),
                subject_public_key_info: anchor.subject_public_key_info.as_ref().into(),
                name_constraints: anchor
                    .name_constraints
                    .as_ref()
                    .map(|der| der.as_ref().into()),
            })
            .collect()
    }
}

impl PartialEq for TrustBundle {
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem
    }
}

impl Eq for TrustBundle {}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustBundle({} anchors)", self.anchors.len())
    }
}
