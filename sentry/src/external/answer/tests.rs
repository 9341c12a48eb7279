use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose};

use super::*;

const DAY: Duration = Duration::from_hours(24);

/// A certificate authority of the test's, and its certificate as PEM.
struct Ca {
    signer: Issuer<'static, KeyPair>,
    pem: String,
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

/// An authority that is valid now.
fn params(name: &str, length: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(length);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + DAY).into();
    params
}

fn root(length: BasicConstraints) -> Ca {
    let (key, params) = (key(), params("root", length));
    let certificate = params.self_signed(&key).unwrap();
    Ca {
        pem: certificate.pem(),
        signer: Issuer::from_ca_cert_der(certificate.der(), key).unwrap(),
    }
}

impl Ca {
    fn certifies(&self, key: &KeyPair, params: &CertificateParams) -> String {
        params.signed_by(key, &self.signer).unwrap().pem()
    }

    fn intermediate(&self, length: BasicConstraints) -> Self {
        let (key, params) = (key(), params("intermediate", length));
        let certificate = params.signed_by(&key, &self.signer).unwrap();
        Self {
            pem: certificate.pem(),
            signer: Issuer::from_ca_cert_der(certificate.der(), key).unwrap(),
        }
    }
}

fn check(chain: &str, roots: &str, key: &KeyPair) -> Result<Accepted, AnswerError> {
    let answer = Answer {
        chain: chain.as_bytes(),
        roots: roots.as_bytes(),
    };
    answer.check(key, SystemTime::now())
}

const ANY: BasicConstraints = BasicConstraints::Unconstrained;

#[test]
fn a_chain_that_leads_to_the_roots_is_taken_without_them() {
    let (root, other, key) = (root(ANY), root(ANY), key());
    let intermediate = root.intermediate(ANY);
    let issuer = intermediate.certifies(&key, &params("issuer", ANY));
    let chain = format!("# a comment\n{issuer}{}", intermediate.pem);
    let roots = format!("{}{}", other.pem, root.pem);
    let expected = pem::certificates(chain.as_bytes()).unwrap();
    let accepted = check(&chain, &roots, &key).unwrap();
    assert_eq!(accepted.chain, pem::encode_certificates(&expected));
    assert_eq!(
        pem::certificates(accepted.roots.as_bytes()).unwrap().len(),
        2
    );
    let with_root = format!("{chain}{}", root.pem);
    assert_eq!(check(&with_root, &roots, &key), Ok(accepted));
}

#[test]
fn a_certificate_that_may_not_certify_is_refused() {
    let (root, key) = (root(ANY), key());
    let mut leaf = params("leaf", ANY);
    leaf.is_ca = IsCa::NoCa;
    let leaf = root.certifies(&key, &leaf);
    assert_eq!(
        check(&leaf, &root.pem, &key),
        Err(AnswerError::NotAnAuthority)
    );
    let mut mute = params("mute", ANY);
    mute.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let mute = root.certifies(&key, &mute);
    assert_eq!(
        check(&mute, &root.pem, &key),
        Err(AnswerError::NotAnAuthority)
    );
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let root = root(ANY);
    let issuer = root.certifies(&key(), &params("issuer", ANY));
    assert_eq!(
        check(&issuer, &root.pem, &key()),
        Err(AnswerError::ForeignKey)
    );
}

#[test]
fn a_certificate_under_other_roots_is_refused() {
    let (signed, expected, key) = (root(ANY), root(ANY), key());
    let issuer = signed.certifies(&key, &params("issuer", ANY));
    assert_eq!(
        check(&issuer, &expected.pem, &key),
        Err(AnswerError::Untrusted)
    );
}

#[test]
fn roots_that_are_missing_or_none_are_named() {
    let (root, key) = (root(ANY), key());
    let intermediate = root.intermediate(ANY);
    let issuer = intermediate.certifies(&key, &params("issuer", ANY));
    assert_eq!(check(&issuer, "", &key), Err(AnswerError::NoRoots));
    let none = check(&issuer, &intermediate.pem, &key);
    assert_eq!(none, Err(AnswerError::NotARoot(1)));
    let broken = "-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n";
    let unreadable = check(&issuer, broken, &key);
    assert!(matches!(unreadable, Err(AnswerError::UnreadableRoots(_))));
}

#[test]
fn a_chain_out_of_order_is_refused() {
    let (root, key) = (root(ANY), key());
    let (between, stranger) = (root.intermediate(ANY), root.intermediate(ANY));
    let issuer = between.certifies(&key, &params("issuer", ANY));
    let chain = format!("{issuer}{}", stranger.pem);
    assert_eq!(
        check(&chain, &root.pem, &key),
        Err(AnswerError::ChainBroken(1))
    );
    assert_eq!(check(&issuer, &root.pem, &key), Err(AnswerError::Untrusted));
}

#[test]
fn what_is_valid_only_later_or_no_more_is_refused() {
    let (root, key) = (root(ANY), key());
    let mut ended = params("issuer", ANY);
    ended.not_after = (SystemTime::now() - DAY / 2).into();
    let mut early = params("issuer", ANY);
    early.not_before = (SystemTime::now() + DAY / 2).into();
    for params in [ended, early] {
        let issuer = root.certifies(&key, &params);
        assert_eq!(
            check(&issuer, &root.pem, &key),
            Err(AnswerError::NotValidNow(1))
        );
    }
}

#[test]
fn a_path_length_that_forbids_another_authority_is_named() {
    let key = key();
    let error = |number, subject: &str, allowed, below| {
        Err(AnswerError::PathLength {
            number,
            subject: subject.to_owned(),
            allowed,
            below,
        })
    };
    let strict = root(BasicConstraints::Constrained(0));
    let issuer = strict.certifies(&key, &params("issuer", ANY));
    assert_eq!(check(&issuer, &strict.pem, &key), error(2, "CN=root", 0, 1));

    let root = root(BasicConstraints::Constrained(2));
    let strict = root.intermediate(BasicConstraints::Constrained(0));
    let issuer = strict.certifies(&key, &params("issuer", ANY));
    let chain = format!("{issuer}{}", strict.pem);
    assert_eq!(
        check(&chain, &root.pem, &key),
        error(2, "CN=intermediate", 0, 1)
    );

    let enough = root.intermediate(BasicConstraints::Constrained(1));
    let none_below = params("issuer", BasicConstraints::Constrained(0));
    let issuer = enough.certifies(&key, &none_below);
    check(&format!("{issuer}{}", enough.pem), &root.pem, &key).unwrap();
}

#[test]
fn what_is_no_certificate_is_refused() {
    let root = root(ANY);
    for nonsense in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let refused = check(nonsense, &root.pem, &key());
        assert!(
            matches!(refused, Err(AnswerError::Unreadable(_))),
            "{refused:?}"
        );
    }
}
