use rcgen::{CertificateParams, KeyUsagePurpose};
use trilby_identity::TrustDomain;

use super::*;
use crate::source::testing::documents;

const DAY: Duration = Duration::from_hours(24);

fn generate() -> (Documents, SystemTime) {
    let sentry = "spiffe://td/ns/dapr-system/dapr-sentry".parse().unwrap();
    let td = TrustDomain::parse("td").unwrap();
    let now = SystemTime::now();
    let documents = documents(&sentry, &td, (now, Duration::from_mins(15)));
    (documents, now)
}

fn refused(change: impl FnOnce(&mut Documents)) -> String {
    let (mut documents, now) = generate();
    change(&mut documents);
    Bundle::read(&documents, now).err().unwrap().to_string()
}

#[test]
fn a_generated_authority_is_upstreams_in_shape() {
    let (documents, now) = generate();
    let bundle = Bundle::read(&documents, now).unwrap();
    assert_eq!(bundle.anchors.len(), 1);
    assert_eq!(bundle.chain.len(), 1);
    let root = pem::certificates(&documents.ca).unwrap().remove(0);
    let root = parse(&root).unwrap();
    let issuer = parse(&bundle.issuer).unwrap();
    assert_eq!(root.subject().to_string(), "O=td");
    assert_eq!(
        issuer.subject().to_string(),
        "O=spiffe://td/ns/dapr-system/dapr-sentry"
    );
    for certificate in [&root, &issuer] {
        assert!(certificate.is_ca());
        assert_eq!(
            certificate.signature_algorithm.algorithm.to_string(),
            "1.3.101.112"
        );
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.key_cert_sign());
    }
    assert!(issuer.key_usage().unwrap().unwrap().value.crl_sign());
    assert!(bundle.not_after > now + 364 * DAY && bundle.not_after <= now + 365 * DAY);
    assert!(documents.key.starts_with(b"-----BEGIN PRIVATE KEY-----"));
}

#[test]
fn an_authority_of_ones_own_may_have_any_curve() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
    ] {
        let (mut documents, now) = generate();
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            let organization = rcgen::DnType::OrganizationName;
            params.distinguished_name.push(organization, name);
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.not_after = (now + 30 * DAY).into();
            params
        };
        let key = || KeyPair::generate_for(algorithm).unwrap();
        let root = rcgen::CertifiedIssuer::self_signed(params("root"), key()).unwrap();
        let issuer_key = key();
        let issuer = params("issuer").signed_by(&issuer_key, &root).unwrap();
        documents.ca = root.pem().into_bytes();
        documents.issuer = issuer.pem().into_bytes();
        documents.key = issuer_key.serialize_pem().into_bytes();
        let bundle = Bundle::read(&documents, now).unwrap();
        assert_eq!(bundle.chain.len(), 1, "{algorithm:?}");
        assert!(bundle.root_not_after > now + 29 * DAY, "{algorithm:?}");
    }
}

#[test]
fn several_anchors_and_comments_are_fine_and_a_root_behind_the_issuer_is_not_sent_on() {
    let (mut documents, now) = generate();
    let other = generate().0;
    let root = documents.ca.clone();
    documents.issuer.extend_from_slice(&root);
    documents.ca = [b"# the old one\n".as_slice(), &other.ca, &root].concat();
    let bundle = Bundle::read(&documents, now).unwrap();
    assert_eq!(bundle.anchors.len(), 2);
    assert!(!bundle.anchors.pem().contains("old"));
    assert_eq!(bundle.chain.len(), 1);
}

#[test]
fn what_does_not_fit_together_is_named() {
    let other = generate().0;
    let check = |expected: &str, change: &dyn Fn(&mut Documents)| {
        let text = refused(change);
        assert!(text.starts_with(expected), "{text}");
    };
    check("ca.crt: trust anchors contain no certificate", &|d| {
        d.ca.clear()
    });
    check("ca.crt: certificate number 2 is not self-signed", &|d| {
        d.ca.extend_from_slice(&d.issuer);
    });
    check("issuer.crt: contains no certificate", &|d| d.issuer.clear());
    check("issuer.crt: certificate number 1 is not signed", &|d| {
        d.issuer.extend_from_slice(&other.ca);
    });
    check("issuer.key: ", &|d| d.key = b"nonsense".to_vec());
    check("issuer.key is not the key of issuer.crt", &|d| {
        d.key = other.key.clone();
    });
}

#[test]
fn an_expired_issuer_is_refused() {
    let (documents, now) = generate();
    let error = Bundle::read(&documents, now + 366 * DAY).err().unwrap();
    assert!(matches!(error, DocumentError::Expired(_)), "{error}");
}

#[test]
fn a_leaf_is_no_issuer() {
    let (documents, now) = generate();
    let bundle = Bundle::read(&documents, now).unwrap();
    let signer = rcgen::Issuer::from_ca_cert_der(&bundle.issuer, bundle.key).unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let leaf = params.signed_by(&key, &signer).unwrap();
    let text = refused(|d| {
        d.issuer = pem::encode("CERTIFICATE", leaf.der()).into_bytes();
        d.key = key.serialize_pem().into_bytes();
    });
    assert_eq!(
        text,
        "issuer.crt: the first certificate may not sign certificates"
    );
}

#[test]
fn bundles_with_ecdsa_and_rsa_keys_made_by_others_load() {
    for algorithm in [
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-newkey", "rsa:2048"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (ca, key) = (path("ca.crt"), path("ca.key"));
        let mut arguments = vec!["req", "-x509", "-nodes", "-days", "30", "-subj", "/O=mine"];
        arguments.extend(algorithm);
        arguments.extend(["-keyout", &key, "-out", &ca]);
        let done = std::process::Command::new("openssl")
            .args(&arguments)
            .output();
        let done = done.expect("openssl is installed");
        assert!(done.status.success(), "{done:?}");
        let read = |path: &str| std::fs::read(path).unwrap();
        // One certificate that is both root and issuer.
        let documents = Documents {
            ca: read(&ca),
            issuer: read(&ca),
            key: read(&key),
            root_key: None,
            tokens: None,
            rotation: RotationDocuments::default(),
        };
        let bundle = Bundle::read(&documents, SystemTime::now()).unwrap();
        assert_eq!(bundle.chain.len(), 0, "what is self-signed is not sent");
        let sentry = "spiffe://td/ns/x/dapr-sentry".parse().unwrap();
        let validity = crate::issuer::Validity {
            ttl: DAY,
            clock_skew: Duration::ZERO,
        };
        let moment = (SystemTime::now(), validity);
        crate::issuer::Issuer::new(documents, (&sentry, None), moment).unwrap();
    }
}

#[test]
fn debug_output_holds_no_key() {
    let (documents, _) = generate();
    assert!(!format!("{documents:?}").contains("PRIVATE"));
}
