//! Signs leaf certificates.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, ExtendedKeyUsagePurpose, IsCa,
    Issuer as Signer, KeyPair, KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use trilby_identity::{SpiffeId, Svid, SvidError, TrustBundle, VerificationError, pem};

use crate::{
    bundle::{Bundle, DocumentError, Documents},
    tokens::{TokenIssuer, TokenIssuerError, TokenSettings},
};

/// Where the images of a pod stand in its certificate.
const IMAGES_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 57683, 100, 1];

/// How long certificates hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    /// Life of a leaf, from the moment it is signed.
    pub(crate) ttl: Duration,
    /// How long before that moment it is valid already, for peers whose clock is behind.
    pub(crate) clock_skew: Duration,
}

/// What a leaf says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) id: SpiffeId,
    pub(crate) dns_names: Vec<String>,
    /// JSON about the images that the pod runs, when known.
    pub(crate) images: Option<Vec<u8>>,
}

/// A signed leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Leaf, then issuer chain, PEM.
    pub(crate) chain_pem: String,
    /// The leaf's serial number, hexadecimal.
    pub(crate) serial: String,
    pub(crate) not_after: SystemTime,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the issuer certificate has expired")]
    IssuerExpired,
    #[error(transparent)]
    Encoding(#[from] rcgen::Error),
}

/// Why documents make no issuer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuerError {
    #[error(transparent)]
    Documents(#[from] DocumentError),
    #[error(transparent)]
    Tokens(#[from] TokenIssuerError),
    #[error("no certificate can be signed: {0}")]
    Sign(#[from] SignError),
    #[error("signed certificates would be unusable: {0}")]
    Svid(#[from] SvidError),
    #[error("signed certificates would not be trusted: {0}")]
    Untrusted(#[from] VerificationError),
}

impl IssuerError {
    /// Whether nothing is wrong but the date.
    pub(crate) fn is_expiry(&self) -> bool {
        matches!(self, Self::Documents(DocumentError::Expired(_)))
    }
}

/// Tells issuers apart by their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IssuerId(u64);

impl From<u64> for IssuerId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl IssuerId {
    /// The beginning of the digest of a key.
    fn of(key: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, key);
        let first = digest
            .as_ref()
            .first_chunk()
            .expect("a digest has 32 bytes");
        Self(u64::from_be_bytes(*first))
    }
}

/// An authority that has proved that its certificates are accepted by whoever trusts its anchors.
pub(crate) struct Issuer {
    id: IssuerId,
    documents: Documents,
    anchors: TrustBundle,
    chain_pem: String,
    signer: Signer<'static, KeyPair>,
    tokens: Option<TokenIssuer>,
    not_before: SystemTime,
    not_after: SystemTime,
    root_not_after: SystemTime,
}

impl Issuer {
    /// Reads the documents, signs a leaf for `sentry` itself as a trial, and verifies that.
    pub(crate) fn new(
        documents: Documents,
        (sentry, tokens): (&SpiffeId, Option<&TokenSettings>),
        moment: (SystemTime, Validity),
    ) -> Result<Arc<Self>, IssuerError> {
        let now = moment.0;
        let bundle = Bundle::read(&documents, now)?;
        let signer =
            Signer::from_ca_cert_der(&bundle.issuer, bundle.key).map_err(SignError::from)?;
        let tokens = match (tokens, &documents.tokens) {
            (Some(settings), Some(documents)) => Some(TokenIssuer::new(documents, settings)?),
            _ => None,
        };
        let issuer = Self {
            id: IssuerId::of(&documents.key),
            documents,
            anchors: bundle.anchors,
            chain_pem: pem::encode_certificates(&bundle.chain),
            signer,
            tokens,
            not_before: bundle.not_before,
            not_after: bundle.not_after,
            root_not_after: bundle.root_not_after,
        };
        issuer.prove(sentry, moment)?;
        Ok(Arc::new(issuer))
    }

    /// Which one it is.
    pub(crate) fn id(&self) -> IssuerId {
        self.id
    }

    /// The documents it was made from.
    pub(crate) fn documents(&self) -> &Documents {
        &self.documents
    }

    /// Whether another one is the same to whoever gets certificates of it.
    pub(crate) fn is_same_to_peers(&self, other: &Self) -> bool {
        let parts = |issuer: &Self| {
            let documents = &issuer.documents;
            (
                documents.ca.clone(),
                documents.issuer.clone(),
                documents.key.clone(),
            )
        };
        parts(self) == parts(other)
    }

    /// When it began.
    pub(crate) fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// What it distributes.
    pub(crate) fn anchors(&self) -> &TrustBundle {
        &self.anchors
    }

    /// When it can sign no more.
    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// When its root is trusted no more.
    pub(crate) fn root_not_after(&self) -> SystemTime {
        self.root_not_after
    }

    /// When two thirds of its life are over, and it is time for another.
    pub(crate) fn renewal_due(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before);
        self.not_before + life.unwrap_or_default() / 3 * 2
    }

    /// What issues tokens, where any are issued.
    pub(crate) fn tokens(&self) -> Option<&TokenIssuer> {
        self.tokens.as_ref()
    }

    /// Certifies `key`. The leaf never outlives the issuer.
    pub(crate) fn sign(
        &self,
        leaf: &Leaf,
        key: &SubjectPublicKeyInfo,
        (now, validity): (SystemTime, Validity),
    ) -> Result<Signed, SignError> {
        if self.not_after <= now {
            return Err(SignError::IssuerExpired);
        }
        let not_after = (now + validity.ttl).min(self.not_after);
        let serial: [u8; 16] = rand::random();
        let mut params = leaf_params(leaf)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = (now - validity.clock_skew).into();
        params.not_after = not_after.into();
        let certificate = params.signed_by(key, &self.signer)?;
        Ok(Signed {
            chain_pem: pem::encode("CERTIFICATE", certificate.der()) + &self.chain_pem,
            serial: format!("{:032x}", u128::from_be_bytes(serial)),
            not_after,
        })
    }

    fn prove(&self, sentry: &SpiffeId, moment: (SystemTime, Validity)) -> Result<(), IssuerError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(SignError::from)?;
        let public =
            SubjectPublicKeyInfo::from_pem(&key.public_key_pem()).map_err(SignError::from)?;
        let leaf = Leaf {
            id: sentry.clone(),
            dns_names: Vec::new(),
            images: None,
        };
        let signed = self.sign(&leaf, &public, moment)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let svid = Svid::from_pem(signed.chain_pem.as_bytes(), key)?;
        Ok(svid.verify(&self.anchors, moment.0)?)
    }
}

fn leaf_params(leaf: &Leaf) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::NoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    params
        .subject_alt_names
        .push(SanType::URI(leaf.id.as_str().try_into()?));
    for name in &leaf.dns_names {
        params
            .subject_alt_names
            .push(SanType::DnsName(name.as_str().try_into()?));
    }
    if let Some(images) = &leaf.images {
        let extension = CustomExtension::from_oid_content(IMAGES_OID, octet_string(images));
        params.custom_extensions.push(extension);
    }
    Ok(params)
}

/// DER: tag, length in its shortest form, content.
fn octet_string(content: &[u8]) -> Vec<u8> {
    const OCTET_STRING: u8 = 4;
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![OCTET_STRING];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => der.push(short),
        _ => {
            let count = u8::try_from(significant.len()).expect("a length has at most 8 bytes");
            der.push(0x80 | count);
            der.extend_from_slice(significant);
        }
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
pub(crate) mod testing {
    use trilby_identity::TrustDomain;

    use super::*;
    use crate::{source::testing::documents, tokens::TokenDocuments};

    /// Upstream's.
    pub(crate) const VALIDITY: Validity = Validity {
        ttl: Duration::from_hours(24),
        clock_skew: Duration::from_mins(15),
    };

    /// A new authority of the trust domain `td` that issues tokens with Ed25519 for an hour.
    pub(crate) fn issuer_with_tokens() -> Arc<Issuer> {
        let settings = TokenSettings {
            algorithm: crate::jose::Algorithm::EdDsa,
            key_id: None,
            issuer: None,
            ttl: Duration::from_hours(1),
        };
        let sentry: SpiffeId = "spiffe://td/ns/default/dapr-sentry".parse().unwrap();
        let td = TrustDomain::parse("td").unwrap();
        let now = SystemTime::now();
        let validity = VALIDITY;
        let documents = Documents {
            tokens: Some(TokenDocuments::generate(&settings).unwrap()),
            ..documents(&sentry, &td, (now, validity.clock_skew))
        };
        Issuer::new(documents, (&sentry, Some(&settings)), (now, validity)).unwrap()
    }
}

#[cfg(test)]
mod tests;
