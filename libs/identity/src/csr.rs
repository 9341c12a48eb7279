//! A fresh key and the request that asks for its certificate.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, RsaKeySize};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The kind of key an SVID gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyType {
    /// Small and fast: upstream's choice for everything between its own processes.
    #[default]
    Ed25519,
    /// For peers that know no Ed25519.
    EcdsaP256,
    /// For webhooks: some API servers refuse every other kind.
    Rsa2048,
}

/// A key could not be made or could not sign.
#[derive(Debug, thiserror::Error)]
#[error("certificate signing request could not be made: {0}")]
pub struct CsrError(#[from] rcgen::Error);

/// A certificate signing request and the private key it was made with.
pub struct Csr {
    /// The request: empty subject, no extensions. The authority decides what the certificate says.
    pub pem: String,
    /// The key, PKCS#8.
    pub key: PrivateKeyDer<'static>,
}

impl Csr {
    /// Makes a new key and a request for it. RSA takes some tens of milliseconds of CPU.
    ///
    /// # Errors
    /// When the machine has no entropy to give.
    pub fn generate(key_type: KeyType) -> Result<Self, CsrError> {
        let key = match key_type {
            KeyType::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            KeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyType::Rsa2048 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)
            }
        }?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key)?;
        Ok(Self {
            pem: request.pem()?,
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

    use super::*;

    #[test]
    fn a_request_is_signed_and_says_nothing_but_the_key() {
        for kind in [KeyType::Ed25519, KeyType::EcdsaP256, KeyType::Rsa2048] {
            let csr = Csr::generate(kind).unwrap();
            assert!(csr.pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
            let (_, block) = x509_parser::pem::parse_x509_pem(csr.pem.as_bytes()).unwrap();
            let (_, request) = X509CertificationRequest::from_der(&block.contents).unwrap();
            request.verify_signature().unwrap();
            let info = &request.certification_request_info;
            assert_eq!(info.subject.iter().count(), 0);
            assert!(request.requested_extensions().is_none());
        }
    }

    #[test]
    fn every_request_has_its_own_key() {
        let keys: Vec<_> = (0..2)
            .map(|_| Csr::generate(KeyType::Ed25519).unwrap().key)
            .collect();
        assert_ne!(keys[0].secret_der(), keys[1].secret_der());
    }
}
