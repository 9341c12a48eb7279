//! The key of the request under way. It lies in the Secret of the authority from before anybody is asked until another
//! one takes its place, and nowhere else.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, api::PostParams};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use trilby_identity::{SpiffeId, pem};

use super::request::{ApiError, answer};
use crate::source::{KeyAlgorithm, SourceError};

/// The Secret of the authority, and the key in it.
const SECRET: &str = "dapr-trust-bundle";
const ENTRY: &str = "external-request.key";

/// How often a write is tried against others.
const ATTEMPTS: usize = 3;

/// See the module.
pub(super) struct PendingKey {
    secrets: Api<Secret>,
    algorithm: KeyAlgorithm,
}

/// A key, and how it is written.
pub(super) struct Key {
    pub(super) pair: KeyPair,
    /// PKCS#8, PEM.
    pub(super) pem: Vec<u8>,
}

impl PendingKey {
    pub(super) fn new(secrets: Api<Secret>, algorithm: KeyAlgorithm) -> Self {
        Self { secrets, algorithm }
    }

    /// The key to ask with: the one that is kept, or a new one where there is none, or where that one is an issuer's
    /// by now or of another kind than is asked for.
    pub(super) async fn current(&self) -> Result<Key, SourceError> {
        for _ in 0..ATTEMPTS {
            let read = answer(self.secrets.get(SECRET)).await;
            let mut secret = read.map_err(|error| failed("cannot read", &error))?;
            let data = secret.data.get_or_insert_with(BTreeMap::new);
            if let Some(key) = self.kept(data) {
                return Ok(key);
            }
            let key = Key::generate(self.algorithm)?;
            data.insert(ENTRY.to_owned(), ByteString(key.pem.clone()));
            let parameters = PostParams::default();
            match answer(self.secrets.replace(SECRET, &parameters, &secret)).await {
                Ok(_) => return Ok(key),
                // Another replica did, perhaps the same.
                Err(ApiError::Kube(kube::Error::Api(status))) if status.code == 409 => {}
                Err(error) => return Err(failed("cannot write", &error)),
            }
        }
        Err(SourceError::Pending(format!(
            "others keep writing to Secret {SECRET}"
        )))
    }

    fn kept(&self, data: &BTreeMap<String, ByteString>) -> Option<Key> {
        let kept = data.get(ENTRY)?;
        let in_use = data
            .iter()
            .any(|(entry, value)| entry != ENTRY && value == kept);
        if in_use {
            return None;
        }
        let key = Key::read(&kept.0)?;
        self.algorithm.is_that_of(&key.pair).then_some(key)
    }
}

impl Key {
    fn generate(algorithm: KeyAlgorithm) -> Result<Self, SourceError> {
        let pair = algorithm.generate()?;
        let pem = pem::encode("PRIVATE KEY", pair.serialized_der()).into_bytes();
        Ok(Self { pair, pem })
    }

    /// A key that is kept. One that cannot be read is as good as none.
    fn read(pem: &[u8]) -> Option<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem).ok()?;
        Some(Self {
            pair: KeyPair::try_from(&der).ok()?,
            pem: pem.to_vec(),
        })
    }

    /// The request for an issuer certificate with this key, PEM.
    pub(super) fn request(&self, sentry: &SpiffeId) -> Result<String, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, sentry.as_str());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        params.serialize_request(&self.pair)?.pem()
    }
}

fn failed(what: &str, error: &ApiError) -> SourceError {
    let cause = match error {
        ApiError::Kube(kube::Error::Api(status)) => status.message.clone(),
        ApiError::Kube(error) => error.to_string(),
        ApiError::Timeout => "the API server did not answer in time".to_owned(),
    };
    SourceError::External(format!("{what} Secret {SECRET}: {cause}"))
}

#[cfg(test)]
mod tests {
    use x509_parser::{
        pem::parse_x509_pem,
        prelude::{FromDer as _, ParsedExtension, X509CertificationRequest},
    };

    use super::*;

    fn keeper(algorithm: KeyAlgorithm) -> PendingKey {
        // Never asked: what is kept is given to it.
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        PendingKey::new(Api::namespaced(client, "ns"), algorithm)
    }

    #[tokio::test]
    async fn a_key_is_kept_until_it_is_an_issuers_or_another_kind_is_wanted() {
        let key = Key::generate(KeyAlgorithm::EcdsaP384).unwrap();
        let mut data: BTreeMap<_, _> = [
            (ENTRY.to_owned(), ByteString(key.pem.clone())),
            ("issuer.key".to_owned(), ByteString(b"another".to_vec())),
        ]
        .into();
        let kept = keeper(KeyAlgorithm::EcdsaP384).kept(&data).unwrap();
        assert_eq!(kept.pem, key.pem);
        assert!(keeper(KeyAlgorithm::Ed25519).kept(&data).is_none());
        data.insert("issuer.key".to_owned(), ByteString(key.pem));
        assert!(keeper(KeyAlgorithm::EcdsaP384).kept(&data).is_none());
        data.insert(ENTRY.to_owned(), ByteString(b"nonsense".to_vec()));
        assert!(keeper(KeyAlgorithm::EcdsaP384).kept(&data).is_none());
        assert!(
            keeper(KeyAlgorithm::EcdsaP384)
                .kept(&BTreeMap::new())
                .is_none()
        );
    }

    #[test]
    fn the_request_asks_for_an_authority() {
        let sentry = "spiffe://td/ns/dapr-system/dapr-sentry".parse().unwrap();
        let key = Key::generate(KeyAlgorithm::Ed25519).unwrap();
        let request = key.request(&sentry).unwrap();
        let (_, block) = parse_x509_pem(request.as_bytes()).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&block.contents).unwrap();
        let subject = request.certification_request_info.subject.to_string();
        assert_eq!(subject, "O=spiffe://td/ns/dapr-system/dapr-sentry");
        let extensions: Vec<_> = request.requested_extensions().unwrap().collect();
        assert!(extensions.iter().any(
            |extension| matches!(extension, ParsedExtension::BasicConstraints(basic) if basic.ca)
        ));
        assert!(extensions.iter().any(
            |extension| matches!(extension, ParsedExtension::KeyUsage(usage)
                if usage.digital_signature() && usage.key_cert_sign() && usage.crl_sign())
        ));
    }
}
