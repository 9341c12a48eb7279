//! A throw-away certificate authority: P-256 throughout, since keys of RSA are slow to make.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

/// A certificate with its private key, both PEM.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

/// A self-signed authority.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority of this name, valid for longer than any test.
    pub fn new(common_name: &str) -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = new_key();
        let certificate = params.self_signed(&key).expect("the parameters are valid");
        let issuer = Issuer::new(params, key);
        Self {
            certificate,
            issuer,
        }
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// The authority's private key, PEM, PKCS #8.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A credential for a server of these names; those that are IP addresses become such.
    pub fn server(&self, names: &[&str]) -> Credential {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("the names are valid");
        params.distinguished_name = Default::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A credential for a client: what Kubernetes reads as user (`common_name`) and group (`organization`).
    pub fn client(&self, common_name: &str, organization: Option<&str>) -> Credential {
        let mut params = CertificateParams::default();
        params.distinguished_name = Default::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        if let Some(organization) = organization {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// A credential for either side of a connection, named by a SPIFFE ID.
    pub fn workload(&self, spiffe_id: &str) -> Credential {
        let mut params = CertificateParams::default();
        params.distinguished_name = Default::default();
        let id = spiffe_id.try_into().expect("a SPIFFE ID is ASCII");
        params.subject_alt_names = vec![SanType::URI(id)];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Credential {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = new_key();
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the parameters are valid");
        Credential {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A key pair of its own, for instance to sign tokens: (private, public), PEM.
pub fn signing_key() -> (String, String) {
    let key = new_key();
    (key.serialize_pem(), key.public_key_pem())
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_credential_has_a_certificate_and_a_key() {
        let authority = Authority::new("test");
        for credential in [
            authority.server(&["localhost", "127.0.0.1"]),
            authority.client("admin", Some("system:masters")),
            authority.workload("spiffe://public/ns/default/app"),
        ] {
            assert!(credential.certificate.starts_with("-----BEGIN CERTIFICATE"));
            assert!(credential.key.starts_with("-----BEGIN PRIVATE KEY"));
        }
    }

    #[test]
    fn authorities_of_one_name_differ() {
        assert_ne!(
            Authority::new("a").certificate(),
            Authority::new("a").certificate()
        );
    }
}
