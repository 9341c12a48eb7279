use trilby_identity::TrustDomain;

use super::*;
use crate::bundle::Bundle;

const DAY: Duration = Duration::from_hours(24);

struct Who(SpiffeId, TrustDomain);

fn who() -> Who {
    let sentry = "spiffe://td/ns/dapr-system/dapr-sentry".parse().unwrap();
    Who(sentry, TrustDomain::parse("td").unwrap())
}

impl Who {
    fn order(&self, now: SystemTime) -> Order<'_> {
        Order {
            sentry: &self.0,
            trust_domain: &self.1,
            now,
            clock_skew: Duration::ZERO,
        }
    }
}

fn generate(now: SystemTime) -> Documents {
    let made = SelfSigned::default().generate(who().order(now)).unwrap();
    made.into_documents()
}

fn renewed(
    documents: &Documents,
    end: SystemTime,
    now: SystemTime,
) -> Result<Documents, SourceError> {
    let made = SelfSigned::default().renewed(documents, end, who().order(now));
    Ok(made?.into_documents())
}

#[test]
fn a_renewed_issuer_has_a_new_key_and_the_same_root() {
    let now = SystemTime::now();
    let documents = generate(now);
    let old = Bundle::read(&documents, now).unwrap();
    let later = now + 250 * DAY;
    let next = renewed(&documents, old.not_after, later).unwrap();
    assert_eq!(
        (&next.ca, &next.root_key),
        (&documents.ca, &documents.root_key)
    );
    assert_ne!(next.key, documents.key);
    let new = Bundle::read(&next, later).unwrap();
    assert!(new.not_after > later + 364 * DAY);
    assert!(renewed(&next, new.not_after, later).is_err());
}

#[test]
fn no_issuer_outlives_its_root() {
    let now = SystemTime::now();
    let documents = generate(now);
    let late = now + 3500 * DAY;
    let next = renewed(&documents, late, late).unwrap();
    let bundle = Bundle::read(&next, late).unwrap();
    assert!(bundle.not_after <= now + 3650 * DAY);
    let again = renewed(&documents, bundle.not_after, late + DAY);
    assert!(matches!(again, Err(SourceError::RootEnds)));
}

#[test]
fn without_the_roots_key_there_is_no_renewal() {
    let now = SystemTime::now();
    let mut documents = generate(now);
    let renew = |documents: &Documents| renewed(documents, now, now).unwrap_err().to_string();
    documents.root_key = generate(now).root_key;
    assert_eq!(
        renew(&documents),
        "ca.key is the key of no certificate in ca.crt"
    );
    documents.root_key = Some(b"nonsense".to_vec());
    assert!(renew(&documents).starts_with("ca.key is unusable: "));
    documents.root_key = None;
    assert_eq!(renew(&documents), "the root's key is not kept here");
}

#[test]
fn every_kind_of_key_signs_and_only_another_kind_is_outdated() {
    let now = SystemTime::now();
    // RSA keys of 4096 bits take seconds to make.
    let kinds = [
        KeyAlgorithm::Ed25519,
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Rsa2048,
    ];
    let source = |algorithm| SelfSigned {
        algorithm,
        ..SelfSigned::default()
    };
    for made in kinds {
        let documents = source(made).generate(who().order(now)).unwrap();
        let documents = documents.into_documents();
        Bundle::read(&documents, now).unwrap();
        for wanted in kinds {
            let outdated = source(wanted).outdated(&documents);
            assert_eq!(outdated.is_some(), made != wanted, "{made:?} {wanted:?}");
        }
    }
}
