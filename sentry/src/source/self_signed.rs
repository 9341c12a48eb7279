//! Authorities that sentry makes itself: a root whose key it keeps, and issuers under it.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use clap::ValueEnum;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, RsaKeySize, SignatureAlgorithm,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use trilby_identity::{SpiffeId, pem};

use super::{AuthoritySource, NewAuthority, Order, SourceError};
use crate::bundle::{Documents, parse, time_of};

/// A renewed issuer has to live this much longer than the one before to be worth it.
const GAIN: Duration = Duration::from_hours(24);

/// What this source is called.
pub(crate) const NAME: &str = "self-signed";

/// The kind of key of root and issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyAlgorithm {
    /// Ed25519, upstream's.
    Ed25519,
    /// ECDSA on P-256, upstream's before 1.18.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA of 2048 bits.
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// RSA of 4096 bits.
    #[value(name = "rsa-4096")]
    Rsa4096,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SelfSigned {
    /// How long a root lives: many issuers long, for it is in every trust bundle.
    pub(crate) root_life: Duration,
    /// How long an issuer lives.
    pub(crate) issuer_life: Duration,
    /// What keys are made.
    pub(crate) algorithm: KeyAlgorithm,
}

/// The root whose key is kept, ready to sign, and its end.
struct Root {
    issuer: Issuer<'static, KeyPair>,
    end: SystemTime,
}

// === impl KeyAlgorithm ===

impl KeyAlgorithm {
    /// A new key of this kind.
    pub(crate) fn generate(self) -> Result<KeyPair, rcgen::Error> {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        match self {
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Self::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => rsa(RsaKeySize::_2048),
            Self::Rsa4096 => rsa(RsaKeySize::_4096),
        }
    }

    /// Whether `key` is of this kind; the size of RSA keys is not looked at.
    pub(crate) fn is_that_of(self, key: &KeyPair) -> bool {
        let signs_with = |algorithm: &'static SignatureAlgorithm| key.is_compatible(algorithm);
        match self {
            Self::Ed25519 => signs_with(&rcgen::PKCS_ED25519),
            Self::EcdsaP256 => signs_with(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::EcdsaP384 => signs_with(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 | Self::Rsa4096 => signs_with(&rcgen::PKCS_RSA_SHA256),
        }
    }
}

// === impl SelfSigned ===

impl Default for SelfSigned {
    fn default() -> Self {
        Self {
            root_life: Duration::from_hours(10 * 365 * 24),
            // Upstream's.
            issuer_life: Duration::from_hours(365 * 24),
            algorithm: KeyAlgorithm::Ed25519,
        }
    }
}

impl SelfSigned {
    /// A new self-signed root and an issuer under it.
    pub(crate) fn generate(self, order: Order<'_>) -> Result<NewAuthority, rcgen::Error> {
        let root_key = self.algorithm.generate()?;
        let usages = [
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
        ];
        let begin = order.now - order.clock_skew;
        let validity = (begin, order.now + self.root_life);
        let root = authority(order.trust_domain.as_str(), &usages, validity);
        let root = root.self_signed(&root_key)?;
        let anchors = pem::encode("CERTIFICATE", root.der());
        let root_key_pem = pem::encode("PRIVATE KEY", root_key.serialized_der());
        let root = Issuer::from_ca_cert_der(root.der(), root_key)?;
        let end = order.now + self.issuer_life.min(self.root_life);
        let (issuer_chain_pem, issuer_key_pem) = self.issuer(order.sentry, &root, (begin, end))?;
        Ok(NewAuthority {
            anchors_pem: anchors.into_bytes(),
            issuer_chain_pem,
            issuer_key_pem,
            root_key_pem: Some(root_key_pem.into_bytes()),
        })
    }

    /// A new issuer under the same root, which lives longer than one that ends at `end`.
    fn renewed(
        self,
        current: &Documents,
        end: SystemTime,
        order: Order<'_>,
    ) -> Result<NewAuthority, SourceError> {
        let root = root(current)?;
        let not_after = (order.now + self.issuer_life).min(root.end);
        if not_after < end + GAIN.min(self.issuer_life / 4) {
            return Err(SourceError::RootEnds);
        }
        let validity = (order.now - order.clock_skew, not_after);
        let (issuer_chain_pem, issuer_key_pem) =
            self.issuer(order.sentry, &root.issuer, validity)?;
        Ok(NewAuthority {
            anchors_pem: current.ca.clone(),
            issuer_chain_pem,
            issuer_key_pem,
            root_key_pem: current.root_key.clone(),
        })
    }

    /// A new issuer, certificate and key as PEM.
    fn issuer(
        self,
        sentry: &SpiffeId,
        root: &Issuer<'_, KeyPair>,
        validity: (SystemTime, SystemTime),
    ) -> Result<(Vec<u8>, Vec<u8>), rcgen::Error> {
        let usages = [
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let key = self.algorithm.generate()?;
        let certificate = authority(sentry.as_str(), &usages, validity).signed_by(&key, root)?;
        let certificate = pem::encode("CERTIFICATE", certificate.der());
        let key = pem::encode("PRIVATE KEY", key.serialized_der());
        Ok((certificate.into_bytes(), key.into_bytes()))
    }
}

#[async_trait]
impl AuthoritySource for SelfSigned {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn make(&self, order: Order<'_>) -> Result<NewAuthority, SourceError> {
        Ok(self.generate(order)?)
    }

    async fn renew(
        &self,
        current: &Documents,
        end: SystemTime,
        order: Order<'_>,
    ) -> Result<NewAuthority, SourceError> {
        self.renewed(current, end, order)
    }

    /// The kind of the root's key decides; issuers follow with their renewal.
    fn outdated(&self, current: &Documents) -> Option<String> {
        let key = root_key(current).ok()?;
        let algorithm = self.algorithm.to_possible_value()?;
        (!self.algorithm.is_that_of(&key))
            .then(|| format!("keys are to be {} ones", algorithm.get_name()))
    }
}

/// The key of the root, if it is kept.
pub(crate) fn root_key(documents: &Documents) -> Result<KeyPair, SourceError> {
    let unusable = |error: String| SourceError::RootKey(error);
    let key = documents.root_key.as_ref().ok_or(SourceError::NoRootKey)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(error.to_string()))?;
    KeyPair::try_from(&key).map_err(|error| unusable(error.to_string()))
}

fn root(documents: &Documents) -> Result<Root, SourceError> {
    let key = root_key(documents)?;
    let anchors = pem::certificates(&documents.ca).map_err(SourceError::RootKey)?;
    let found = anchors
        .iter()
        .find_map(|anchor| Some((anchor, end_if_of(anchor, &key)?)));
    let (root, end) = found.ok_or(SourceError::ForeignRootKey)?;
    Ok(Root {
        issuer: Issuer::from_ca_cert_der(root, key)?,
        end,
    })
}

/// When a certificate ends, if it is this key's.
fn end_if_of(certificate: &CertificateDer<'_>, key: &KeyPair) -> Option<SystemTime> {
    let parsed = parse(certificate).ok()?;
    let is_its = parsed.public_key().subject_public_key.data == key.public_key_raw();
    is_its.then(|| time_of(parsed.validity().not_after))
}

fn authority(
    organization: &str,
    usages: &[KeyUsagePurpose],
    (not_before, not_after): (SystemTime, SystemTime),
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organization);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = usages.to_vec();
    params.use_authority_key_identifier_extension = true;
    params.not_before = not_before.into();
    params.not_after = not_after.into();
    params
}

#[cfg(test)]
mod tests;
