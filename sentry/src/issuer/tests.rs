use trilby_identity::{Csr, KeyType, TrustDomain};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

use super::*;
use crate::{csr, source::testing::documents};

const SKEW: Duration = Duration::from_mins(15);
const DAY: Validity = Validity {
    ttl: Duration::from_hours(24),
    clock_skew: SKEW,
};

fn issuer() -> (Arc<Issuer>, SystemTime) {
    let sentry: SpiffeId = "spiffe://td/ns/dapr-system/dapr-sentry".parse().unwrap();
    let td = TrustDomain::parse("td").unwrap();
    let now = SystemTime::now();
    let documents = documents(&sentry, &td, (now, SKEW));
    (
        Issuer::new(documents, (&sentry, None), (now, DAY)).unwrap(),
        now,
    )
}

fn leaf() -> Leaf {
    Leaf {
        id: "spiffe://public/ns/shop/cart".parse().unwrap(),
        dns_names: Vec::new(),
        images: None,
    }
}

fn key(kind: KeyType) -> SubjectPublicKeyInfo {
    csr::public_key(Csr::generate(kind).unwrap().pem.as_bytes()).unwrap()
}

fn sign(leaf: &Leaf) -> Vec<u8> {
    let (issuer, now) = issuer();
    let signed = issuer
        .sign(leaf, &key(KeyType::Ed25519), (now, DAY))
        .unwrap();
    let certificates = pem::certificates(signed.chain_pem.as_bytes()).unwrap();
    assert_eq!(
        certificates.len(),
        2,
        "the leaf and the issuer, not the root"
    );
    certificates[0].to_vec()
}

fn seconds(time: SystemTime) -> i64 {
    i64::try_from(crate::bundle::unix_seconds(time)).unwrap()
}

#[test]
fn a_leaf_says_who_and_nothing_else() {
    let der = sign(&leaf());
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().iter().count(), 0);
    assert!(certificate.basic_constraints().unwrap().is_none());
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical, "the subject is empty");
    assert!(matches!(
        names.value.general_names.as_slice(),
        [GeneralName::URI("spiffe://public/ns/shop/cart")]
    ));
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature());
    assert_eq!(usage.flags.count_ones(), 1);
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth);
    assert!(certificate.raw_serial().len() <= 17);
}

#[test]
fn dns_names_and_images_stand_beside_the_identity() {
    let images = vec![b'['; 300];
    let der = sign(&Leaf {
        dns_names: vec!["dapr-webhook.dapr-system.svc".to_owned()],
        images: Some(images.clone()),
        ..leaf()
    });
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(
        names
            .value
            .general_names
            .contains(&GeneralName::DNSName("dapr-webhook.dapr-system.svc"))
    );
    let extension = certificate
        .extensions()
        .iter()
        .find(|extension| extension.oid.to_id_string() == "1.3.6.1.4.1.57683.100.1")
        .unwrap();
    assert!(!extension.critical);
    assert_eq!(extension.value[..4], [0x04, 0x82, 0x01, 0x2c]);
    assert_eq!(extension.value[4..], images);
}

#[test]
fn lengths_are_encoded_in_their_shortest_form() {
    for (length, head) in [
        (0, &[4, 0][..]),
        (127, &[4, 127]),
        (128, &[4, 0x81, 128]),
        (255, &[4, 0x81, 255]),
        (256, &[4, 0x82, 1, 0]),
    ] {
        assert_eq!(&octet_string(&vec![0; length])[..head.len()], head);
    }
}

#[test]
fn validity_begins_before_now_and_ends_with_the_issuer_at_the_latest() {
    let (issuer, now) = issuer();
    let dates = |now| {
        let signed = issuer
            .sign(&leaf(), &key(KeyType::Ed25519), (now, DAY))
            .unwrap();
        let certificates = pem::certificates(signed.chain_pem.as_bytes()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&certificates[0]).unwrap();
        let validity = certificate.validity();
        assert_eq!(validity.not_after.timestamp(), seconds(signed.not_after));
        (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        )
    };
    assert_eq!(
        dates(now),
        (seconds(now - SKEW), seconds(now + Duration::from_hours(24)))
    );
    let late = issuer.not_after() - Duration::from_hours(1);
    assert_eq!(dates(late).1, seconds(issuer.not_after()));
    let too_late = issuer.sign(&leaf(), &key(KeyType::Ed25519), (issuer.not_after(), DAY));
    assert!(matches!(too_late, Err(SignError::IssuerExpired)));
}

#[test]
fn openssl_accepts_the_chain_of_every_kind_of_key() {
    let (issuer, now) = issuer();
    for kind in [KeyType::Ed25519, KeyType::EcdsaP256, KeyType::Rsa2048] {
        let signed = issuer.sign(&leaf(), &key(kind), (now, DAY)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let ca = write("ca.crt", issuer.anchors().pem());
        let chain = write("chain.crt", &signed.chain_pem);
        for purpose in ["sslserver", "sslclient"] {
            let done = std::process::Command::new("openssl")
                .args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"])
                .args([&ca, std::path::Path::new("-untrusted"), &chain, &chain])
                .output()
                .expect("openssl is installed");
            assert!(done.status.success(), "{done:?}");
        }
    }
}

#[test]
fn documents_whose_certificates_nobody_would_trust_make_no_issuer() {
    let (good, now) = issuer();
    let (other, _) = issuer();
    let mut documents = good.documents().clone();
    documents.ca = other.documents().ca.clone();
    let sentry = "spiffe://td/ns/dapr-system/dapr-sentry".parse().unwrap();
    let error = Issuer::new(documents, (&sentry, None), (now, DAY))
        .err()
        .unwrap();
    assert!(matches!(error, IssuerError::Untrusted(_)), "{error}");
}
