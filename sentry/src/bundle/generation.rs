//! New authorities, and new issuers of old ones.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use trilby_identity::{SpiffeId, TrustDomain, pem};

use super::{Documents, parse, time_of};

/// How long a generated issuer lives, as upstream's.
const ISSUER_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// How long a generated root lives: many issuers long, for it is in every trust bundle.
const ROOT_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// A renewed issuer has to live this much longer than the one before to be worth it.
const GAIN: Duration = Duration::from_hours(24);

/// Why an issuer cannot be renewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewalError {
    #[error("the root's key is not kept here")]
    NoRootKey,
    #[error("ca.key is unusable: {0}")]
    RootKey(String),
    #[error("ca.key is the key of no certificate in ca.crt")]
    ForeignRootKey,
    #[error("the root itself ends too soon")]
    RootEnds,
    #[error("no issuer could be generated: {0}")]
    Generate(#[from] rcgen::Error),
}

impl Documents {
    /// A new self-signed root and an issuer under it.
    pub(crate) fn generate(
        sentry: &SpiffeId,
        trust_domain: &TrustDomain,
        (now, clock_skew): (SystemTime, Duration),
    ) -> Result<Self, rcgen::Error> {
        let root_key = ed25519()?;
        let usages = [
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
        ];
        let validity = (now - clock_skew, now + ROOT_LIFETIME);
        let root = authority(trust_domain.as_str(), &usages, validity).self_signed(&root_key)?;
        let ca = pem::encode("CERTIFICATE", root.der());
        let root_key_pem = pem::encode("PRIVATE KEY", root_key.serialized_der());
        let root = Issuer::from_ca_cert_der(root.der(), root_key)?;
        let validity = (now - clock_skew, now + ISSUER_LIFETIME);
        let (issuer, key) = issuer(sentry, &root, validity)?;
        Ok(Self {
            ca: ca.into_bytes(),
            issuer,
            key,
            root_key: Some(root_key_pem.into_bytes()),
            tokens: None,
        })
    }

    /// The same with a new issuer under the same root, which lives longer than one that ends at `end`.
    pub(crate) fn renewed(
        &self,
        sentry: &SpiffeId,
        end: SystemTime,
        (now, clock_skew): (SystemTime, Duration),
    ) -> Result<Self, RenewalError> {
        let (root, root_end) = self.root()?;
        let not_after = (now + ISSUER_LIFETIME).min(root_end);
        if not_after < end + GAIN {
            return Err(RenewalError::RootEnds);
        }
        let (issuer, key) = issuer(sentry, &root, (now - clock_skew, not_after))?;
        Ok(Self {
            issuer,
            key,
            ..self.clone()
        })
    }

    /// The root whose key is kept, ready to sign, and its end.
    fn root(&self) -> Result<(Issuer<'static, KeyPair>, SystemTime), RenewalError> {
        let unusable = |error: String| RenewalError::RootKey(error);
        let key = self.root_key.as_ref().ok_or(RenewalError::NoRootKey)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(error.to_string()))?;
        let key = KeyPair::try_from(&key).map_err(|error| unusable(error.to_string()))?;
        let anchors = pem::certificates(&self.ca).map_err(unusable)?;
        let found = anchors
            .iter()
            .find_map(|anchor| Some((anchor, end_if_of(anchor, &key)?)));
        let (root, end) = found.ok_or(RenewalError::ForeignRootKey)?;
        Ok((Issuer::from_ca_cert_der(root, key)?, end))
    }
}

/// When a certificate ends, if it is this key's.
fn end_if_of(certificate: &CertificateDer<'_>, key: &KeyPair) -> Option<SystemTime> {
    let parsed = parse(certificate).ok()?;
    let is_its = parsed.public_key().subject_public_key.data == key.public_key_raw();
    is_its.then(|| time_of(parsed.validity().not_after))
}

/// A new issuer, certificate and key as PEM.
fn issuer(
    sentry: &SpiffeId,
    root: &Issuer<'_, KeyPair>,
    validity: (SystemTime, SystemTime),
) -> Result<(Vec<u8>, Vec<u8>), rcgen::Error> {
    let usages = [
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    let key = ed25519()?;
    let certificate = authority(sentry.as_str(), &usages, validity).signed_by(&key, root)?;
    let certificate = pem::encode("CERTIFICATE", certificate.der());
    let key = pem::encode("PRIVATE KEY", key.serialized_der());
    Ok((certificate.into_bytes(), key.into_bytes()))
}

fn ed25519() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&rcgen::PKCS_ED25519)
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
mod tests {
    use super::*;
    use crate::bundle::Bundle;

    const DAY: Duration = Duration::from_hours(24);

    fn generate(now: SystemTime) -> (Documents, SpiffeId) {
        let sentry: SpiffeId = "spiffe://td/ns/dapr-system/dapr-sentry".parse().unwrap();
        let td = TrustDomain::parse("td").unwrap();
        let documents = Documents::generate(&sentry, &td, (now, Duration::ZERO)).unwrap();
        (documents, sentry)
    }

    #[test]
    fn a_renewed_issuer_has_a_new_key_and_the_same_root() {
        let now = SystemTime::now();
        let (documents, sentry) = generate(now);
        let old = Bundle::read(&documents, now).unwrap();
        let later = now + 250 * DAY;
        let renewed = documents
            .renewed(&sentry, old.not_after, (later, Duration::ZERO))
            .unwrap();
        assert_eq!(
            (&renewed.ca, &renewed.root_key),
            (&documents.ca, &documents.root_key)
        );
        assert_ne!(renewed.key, documents.key);
        let new = Bundle::read(&renewed, later).unwrap();
        assert!(new.not_after > later + 364 * DAY);
        assert!(
            renewed
                .renewed(&sentry, new.not_after, (later, DAY))
                .is_err()
        );
    }

    #[test]
    fn no_issuer_outlives_its_root() {
        let now = SystemTime::now();
        let (documents, sentry) = generate(now);
        let late = now + 3500 * DAY;
        let renewed = documents.renewed(&sentry, late, (late, DAY)).unwrap();
        let bundle = Bundle::read(&renewed, late).unwrap();
        assert!(bundle.not_after <= now + 3650 * DAY);
        let again = documents.renewed(&sentry, bundle.not_after, (late + DAY, DAY));
        assert!(matches!(again, Err(RenewalError::RootEnds)));
    }

    #[test]
    fn without_the_roots_key_there_is_no_renewal() {
        let now = SystemTime::now();
        let (mut documents, sentry) = generate(now);
        let renew = |documents: &Documents| {
            let renewed = documents.renewed(&sentry, now, (now, DAY));
            renewed.unwrap_err().to_string()
        };
        documents.root_key = generate(now).0.root_key;
        assert_eq!(
            renew(&documents),
            "ca.key is the key of no certificate in ca.crt"
        );
        documents.root_key = Some(b"nonsense".to_vec());
        assert!(renew(&documents).starts_with("ca.key is unusable: "));
        documents.root_key = None;
        assert_eq!(renew(&documents), "the root's key is not kept here");
    }
}
