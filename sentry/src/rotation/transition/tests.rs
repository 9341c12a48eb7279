use trilby_identity::{SpiffeId, TrustDomain};

use super::*;
use crate::{
    issuer::{Issuer, IssuerError, testing::VALIDITY},
    rotation::record::Bridge,
    source::{KeyAlgorithm, SelfSigned},
};

const DAY: Duration = Duration::from_hours(24);

struct Rig {
    sentry: SpiffeId,
    td: TrustDomain,
    now: SystemTime,
}

impl Rig {
    fn new() -> Self {
        Self {
            sentry: "spiffe://td/ns/dapr-system/dapr-sentry".parse().unwrap(),
            td: TrustDomain::parse("td").unwrap(),
            now: SystemTime::now(),
        }
    }

    fn order(&self) -> Order<'_> {
        Order {
            sentry: &self.sentry,
            trust_domain: &self.td,
            now: self.now,
            clock_skew: Duration::from_mins(15),
        }
    }

    fn make(&self, algorithm: KeyAlgorithm) -> NewAuthority {
        let source = SelfSigned {
            algorithm,
            ..SelfSigned::default()
        };
        source.generate(self.order()).unwrap()
    }

    fn prove(&self, documents: Documents) -> Result<std::sync::Arc<Issuer>, IssuerError> {
        Issuer::new(documents, (&self.sentry, None), (self.now, VALIDITY))
    }

    fn prepare(&self, documents: &Documents, made: NewAuthority) -> Documents {
        let record = Record {
            next_source: Some("self-signed".to_owned()),
            ..record(documents)
        };
        let proved = |documents| {
            let proved = self.prove(documents);
            proved.map(|_issuer| ()).map_err(|error| error.to_string())
        };
        prepared(documents, made, (record, self.order()), proved).unwrap()
    }

    /// Whether somebody who trusts `ca` alone accepts what `documents` sign.
    fn accepts(&self, ca: &[u8], documents: &Documents) -> bool {
        let seen = Documents {
            ca: ca.to_vec(),
            rotation: RotationDocuments::default(),
            ..documents.clone()
        };
        self.prove(seen).is_ok()
    }

    /// Every step, each proved as it is before it is stored.
    fn rotate(&self, first: &Documents, algorithm: KeyAlgorithm) -> [Documents; 4] {
        let prepared = self.prepare(first, self.make(algorithm));
        let distributed = distributed(&prepared, record(&prepared), self.now).unwrap();
        let moment = (self.now, DAY);
        let activated = activated(&distributed, record(&distributed), moment, 0).unwrap();
        let retired = retired(&activated, record(&activated), self.now);
        let steps = [prepared, distributed, activated, retired];
        for documents in &steps {
            self.prove(documents.clone()).unwrap();
            let facts = facts(
                documents,
                &record(documents),
                (&SelfSigned::default(), self.order()),
            );
            assert!(facts.fits_record && facts.ours, "{:?}", record(documents));
        }
        steps
    }
}

fn record(documents: &Documents) -> Record {
    Record::read(documents.rotation.record.as_deref()).unwrap()
}

fn chain_length(documents: &Documents) -> usize {
    pem::certificates(&documents.issuer).unwrap().len()
}

#[test]
fn at_no_step_is_anybody_refused_who_trusts_a_root_of_the_step() {
    use KeyAlgorithm::{EcdsaP256, EcdsaP384, Ed25519, Rsa2048};
    let rig = Rig::new();
    for (old, new) in [
        (Ed25519, Ed25519),
        (EcdsaP256, Ed25519),
        (Ed25519, EcdsaP384),
        (Rsa2048, Ed25519),
        (Ed25519, Rsa2048),
    ] {
        for root_key_is_kept in [true, false] {
            let mut first = rig.make(old).into_documents();
            first.root_key = first.root_key.filter(|_| root_key_is_kept);
            let [prepared, distributed, activated, retired] = rig.rotate(&first, new);
            assert_eq!((&prepared.ca, &prepared.issuer), (&first.ca, &first.issuer));
            assert_eq!(roots(&distributed.ca).len(), 2);
            assert_eq!(distributed.issuer, first.issuer);
            let new_root = retired.ca.clone();
            assert_eq!(roots(&new_root).len(), 1);
            for signing in [&distributed, &activated, &retired] {
                assert!(
                    rig.accepts(&first.ca, signing),
                    "{old:?} {new:?}: by the old root"
                );
            }
            for signing in [&activated, &retired] {
                assert!(
                    rig.accepts(&new_root, signing),
                    "{old:?} {new:?}: by the new root"
                );
            }
            let bare = unbridged(&retired, record(&retired), rig.now);
            assert_eq!(chain_length(&bare), 1);
            assert!(rig.accepts(&new_root, &bare) && !rig.accepts(&first.ca, &bare));
            assert_eq!(record(&bare).phase, Phase::Stable);
        }
    }
}

#[test]
fn a_leaf_lives_as_long_as_the_new_root_lets_it_not_as_long_as_the_bridge() {
    let mut rig = Rig::new();
    let first = rig.make(KeyAlgorithm::Ed25519).into_documents();
    rig.now += 3600 * DAY;
    let late = SystemTime::now() + 3600 * DAY;
    let [.., retired] = {
        let first = SelfSigned::default();
        let aged = first.generate(Order {
            now: late - 3600 * DAY,
            ..rig.order()
        });
        let mut aged = aged.unwrap().into_documents();
        // An issuer as it would have been renewed meanwhile.
        let renewed = futures_util::FutureExt::now_or_never(SelfSigned::default().renew(
            &aged,
            late - 50 * DAY,
            rig.order(),
        ));
        let renewed = renewed.unwrap().unwrap();
        (aged.issuer, aged.key) = (renewed.issuer_chain_pem, renewed.issuer_key_pem);
        rig.rotate(&aged, KeyAlgorithm::Ed25519)
    };
    let bridge: Bridge = record(&retired).bridge.unwrap();
    assert!(bridge.not_after < unix_seconds(late + 60 * DAY));
    let issuer = rig.prove(retired).unwrap();
    assert!(issuer.not_after() > late + 364 * DAY);
    assert!(issuer.root_not_after() > late + 3600 * DAY);
    drop(first);
}

#[test]
fn a_second_rotation_leads_from_the_first_root_too() {
    let rig = Rig::new();
    for root_key_is_kept in [true, false] {
        let mut first = rig.make(KeyAlgorithm::Ed25519).into_documents();
        first.root_key = first.root_key.filter(|_| root_key_is_kept);
        let [.., second] = rig.rotate(&first, KeyAlgorithm::Ed25519);
        let [.., third] = rig.rotate(&second, KeyAlgorithm::EcdsaP256);
        for ca in [&first.ca, &second.ca, &third.ca] {
            assert!(rig.accepts(ca, &third), "{}", chain_length(&third));
        }
        let [.., fourth] = rig.rotate(&third, KeyAlgorithm::Ed25519);
        let [.., fifth] = rig.rotate(&fourth, KeyAlgorithm::Ed25519);
        assert!(chain_length(&fifth) <= 5);
        assert!(rig.accepts(&fourth.ca, &fifth) && rig.accepts(&fifth.ca, &fifth));
    }
}

#[test]
fn a_renewed_issuer_keeps_the_bridge() {
    let rig = Rig::new();
    let first = rig.make(KeyAlgorithm::Ed25519).into_documents();
    let [.., retired] = rig.rotate(&first, KeyAlgorithm::Ed25519);
    let renewal = SelfSigned::default();
    let order = Order {
        now: rig.now + 300 * DAY,
        ..rig.order()
    };
    let renewed = futures_util::FutureExt::now_or_never(renewal.renew(&retired, rig.now, order));
    let renewed = renewed.unwrap().unwrap();
    let issuer = keep_bridge(&renewed.issuer_chain_pem, &retired).unwrap();
    let documents = Documents {
        issuer,
        key: renewed.issuer_key_pem,
        ..retired.clone()
    };
    let rig = Rig {
        now: rig.now + 300 * DAY,
        ..rig
    };
    assert!(rig.accepts(&first.ca, &documents) && rig.accepts(&retired.ca, &documents));
    let bare = unbridged(&retired, record(&retired), rig.now);
    assert_eq!(keep_bridge(&bare.issuer, &bare), None);
}

#[test]
fn an_issuer_that_may_sign_no_authorities_gives_no_bridge_and_the_reason() {
    let rig = Rig::new();
    let documents = short_path(&rig);
    rig.prove(documents.clone()).unwrap();
    let [prepared, .., retired] = rig.rotate_foreign(&documents);
    let record = record(&prepared);
    assert_eq!(record.bridge, None);
    let why = record.no_bridge.unwrap();
    assert!(why.contains("not trusted"), "{why}");
    assert_eq!(self::record(&retired).phase, Phase::Stable);
    assert!(!rig.accepts(&documents.ca, &retired));
}

impl Rig {
    fn rotate_foreign(&self, first: &Documents) -> [Documents; 4] {
        self.rotate(first, KeyAlgorithm::Ed25519)
    }
}

/// An authority whose issuer may sign leaves only.
fn short_path(rig: &Rig) -> Documents {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    };
    let params = |name: &str, constraints| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, name);
        params.is_ca = IsCa::Ca(constraints);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = (rig.now - DAY).into();
        params.not_after = (rig.now + 100 * DAY).into();
        params
    };
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = params("td", BasicConstraints::Unconstrained);
    let root = root.self_signed(&root_key).unwrap();
    let ca = pem::encode("CERTIFICATE", root.der());
    let root = Issuer::from_ca_cert_der(root.der(), root_key).unwrap();
    let issuer = params(rig.sentry.as_str(), BasicConstraints::Constrained(0));
    let issuer = issuer.signed_by(&key, &root).unwrap();
    Documents {
        ca: ca.into_bytes(),
        issuer: pem::encode("CERTIFICATE", issuer.der()).into_bytes(),
        key: key.serialize_pem().into_bytes(),
        root_key: None,
        tokens: None,
        rotation: RotationDocuments::default(),
    }
}

#[test]
fn whose_authority_it_is_shows_in_its_names() {
    let rig = Rig::new();
    let mut documents = rig.make(KeyAlgorithm::Ed25519).into_documents();
    let look = |documents: &Documents, record: &Record, rig: &Rig| {
        facts(documents, record, (&SelfSigned::default(), rig.order()))
    };
    let own = look(&documents, &Record::default(), &rig);
    assert!(own.ours && own.outdated.is_none() && own.fits_record);
    let due = own.root_due.duration_since(rig.now).unwrap();
    assert!((2432 * DAY..2434 * DAY).contains(&due), "{due:?}");
    let elsewhere = Rig {
        td: TrustDomain::parse("other").unwrap(),
        ..Rig::new()
    };
    assert!(!look(&documents, &Record::default(), &elsewhere).ours);
    let by_somebody = Record {
        source: Some("somebody".to_owned()),
        ..Record::default()
    };
    let moved = look(&documents, &by_somebody, &elsewhere);
    assert!(moved.ours);
    assert_eq!(
        moved.outdated.as_deref(),
        Some("authorities are to come from self-signed")
    );
    documents = rig.make(KeyAlgorithm::EcdsaP256).into_documents();
    let other_keys = look(&documents, &Record::default(), &rig);
    assert_eq!(
        other_keys.outdated.as_deref(),
        Some("keys are to be ed25519 ones")
    );
}

#[test]
fn documents_that_somebody_replaced_do_not_fit() {
    let rig = Rig::new();
    let first = rig.make(KeyAlgorithm::Ed25519).into_documents();
    let other = rig.make(KeyAlgorithm::Ed25519).into_documents();
    for step in rig.rotate(&first, KeyAlgorithm::Ed25519) {
        let replaced = Documents {
            rotation: step.rotation.clone(),
            ..other.clone()
        };
        let found = facts(
            &replaced,
            &record(&step),
            (&SelfSigned::default(), rig.order()),
        );
        assert!(!found.fits_record, "{:?}", record(&step).phase);
        let abandoned = abandoned(&replaced, record(&step), rig.now);
        assert_eq!((&abandoned.ca, &abandoned.key), (&other.ca, &other.key));
        assert!(abandoned.rotation.next.is_none());
        assert_eq!(record(&abandoned).phase, Phase::Stable);
    }
}

#[test]
fn the_same_root_again_is_no_next_one() {
    let rig = Rig::new();
    let made = rig.make(KeyAlgorithm::Ed25519);
    let documents = made.clone().into_documents();
    let result = prepared(&documents, made, (Record::default(), rig.order()), |_| {
        Ok(())
    });
    assert!(matches!(result, Err(TransitionError::SameRoot)));
    let nothing = distributed(&documents, Record::default(), rig.now);
    assert!(matches!(nothing, Err(TransitionError::NothingPrepared)));
}
