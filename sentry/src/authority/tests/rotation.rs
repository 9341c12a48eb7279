use trilby_identity::{Csr, KeyType, Svid, TrustBundle, channel};

use super::*;
use crate::{
    csr,
    issuer::Leaf,
    rotation::{Phase, Record},
    source::KeyAlgorithm,
};

const TTL: Duration = VALIDITY.ttl;

fn record(authority: &Authority) -> Record {
    let issuer = authority.issuer().unwrap();
    Record::read(issuer.documents().rotation.record.as_deref()).unwrap()
}

/// Looks once, as a process that has just started would.
async fn look(authority: &Authority) {
    let (publisher, _identity) = channel(TrustBundle::empty());
    Keeper::new().round(authority, &publisher).await;
}

/// What a workload gets.
fn leaf(authority: &Authority) -> Svid {
    let csr = Csr::generate(KeyType::Ed25519).unwrap();
    let leaf = Leaf {
        id: "spiffe://public/ns/shop/cart".parse().unwrap(),
        dns_names: Vec::new(),
        images: None,
    };
    let key = csr::public_key(csr.pem.as_bytes()).unwrap();
    let issuer = authority.issuer().unwrap();
    let signed = issuer.sign(&leaf, &key, authority.moment()).unwrap();
    Svid::from_pem(signed.chain_pem.as_bytes(), csr.key).unwrap()
}

fn anchors(authority: &Authority) -> TrustBundle {
    authority.issuer().unwrap().anchors().clone()
}

fn order(dir: &Path, value: &str) {
    std::fs::write(dir.join("rotate-root"), value).unwrap();
}

#[tokio::test(start_paused = true)]
async fn replicas_that_die_after_every_look_rotate_the_root_and_nobody_is_refused() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let replicas = [authority(dir.path(), &clock), authority(dir.path(), &clock)];
    for replica in &replicas {
        look(replica).await;
    }
    let first = anchors(&replicas[0]);
    order(dir.path(), "1");
    let mut seen = vec![Phase::Stable];
    // Leaves that still hold, and what their holders trust: what came with them.
    let mut held: Vec<(Svid, TrustBundle)> = Vec::new();
    for turn in 0..320 {
        let replica = &replicas[turn % 2];
        look(replica).await;
        clock.advance(Duration::from_mins(10));
        let phase = record(replica).phase;
        if seen.last() != Some(&phase) {
            seen.push(phase);
        }
        if turn % 29 == 0 {
            held.push((leaf(replica), anchors(replica)));
        }
        let now = clock.now();
        held.retain(|(leaf, _)| leaf.not_after() > now);
        for (leaf, _) in &held {
            for (_, trusted) in &held {
                leaf.verify(trusted, now).unwrap();
            }
        }
        leaf(replica).verify(&first, now).expect("by the bridge");
    }
    let all = [
        Phase::Stable,
        Phase::Prepared,
        Phase::Distributed,
        Phase::Active,
        Phase::Retired,
    ];
    assert_eq!(seen, all);
    assert_eq!(anchors(&replicas[0]).len(), 1);
    assert_ne!(anchors(&replicas[0]), first);
    let record = record(&replicas[0]);
    assert_eq!(record.reason, "asked for by hand: 1");
    assert_eq!(record.trigger.as_deref(), Some("1"), "and not again");
}

#[tokio::test]
async fn a_root_is_replaced_in_time_and_again_and_again() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let authority = authority(dir.path(), &clock);
    look(&authority).await;
    let mut roots = vec![anchors(&authority)];
    for _ in 0..365 {
        look(&authority).await;
        clock.advance(30 * DAY);
        let now = anchors(&authority);
        if roots.last() != Some(&now) && now.len() == 1 {
            roots.push(now);
        }
        let issuer = authority.issuer().unwrap();
        assert!(issuer.not_after() > clock.now() + 80 * DAY);
    }
    // One for each two thirds of ten years.
    assert_eq!(roots.len(), 5);
}

#[tokio::test]
async fn another_kind_of_key_is_a_rotation() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let mut authority = authority(dir.path(), &clock);
    look(&authority).await;
    let own = SelfSigned {
        algorithm: KeyAlgorithm::EcdsaP256,
        ..SelfSigned::default()
    };
    authority.sources = Sources::own(own);
    for _ in 0..6 {
        look(&authority).await;
        clock.advance(2 * TTL);
    }
    assert_eq!(record(&authority).reason, "keys are to be ecdsa-p256 ones");
    assert_eq!(record(&authority).phase, Phase::Retired);
    assert!(own_key_is_p256(&authority));
}

fn own_key_is_p256(authority: &Authority) -> bool {
    let issuer = authority.issuer().unwrap();
    let own = SelfSigned {
        algorithm: KeyAlgorithm::EcdsaP256,
        ..SelfSigned::default()
    };
    crate::source::AuthoritySource::outdated(&own, issuer.documents()).is_none()
}

#[tokio::test]
async fn certificates_that_were_given_for_longer_are_waited_for_by_all_replicas() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let [one, two] = [authority(dir.path(), &clock), authority(dir.path(), &clock)];
    for replica in [&one, &two] {
        look(replica).await;
    }
    // It hears of the order last, and gave a certificate for a month before.
    let given = clock.now() + 30 * DAY;
    two.leaves.signed(two.issuer().unwrap().id(), given);
    order(dir.path(), "1");
    for _ in 0..3 {
        look(&one).await;
        clock.advance(2 * TTL);
    }
    assert_eq!(record(&one).phase, Phase::Active);
    look(&two).await;
    look(&one).await;
    assert_eq!(record(&one).phase, Phase::Active);
    assert_eq!(record(&one).leaves_end, Some(unix_seconds(given)));
    clock.advance(30 * DAY);
    look(&one).await;
    assert_eq!(record(&one).phase, Phase::Retired);
}

/// A replica under a Configuration that has certificates hold so long.
fn giving(ttl: Duration, dir: &Path, clock: &HandClock) -> Authority {
    let validity = Validity { ttl, ..VALIDITY };
    Authority {
        validity: watch::channel(validity).1,
        ..authority(dir, clock)
    }
}

#[tokio::test]
async fn certificates_that_were_given_for_longer_before_a_restart_are_waited_for() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    // Nothing but what is stored outlives the first.
    look(&giving(30 * DAY, dir.path(), &clock)).await;
    let given = leaf(&giving_now(30 * DAY, dir.path(), &clock).await);
    assert!(given.not_after() > clock.now() + 29 * DAY);
    for _ in 0..4 {
        order(dir.path(), "1");
        look(&giving(TTL, dir.path(), &clock)).await;
        clock.advance(2 * TTL);
    }
    let active = giving_now(TTL, dir.path(), &clock).await;
    assert_eq!(record(&active).phase, Phase::Active);
    given.verify(&anchors(&active), clock.now()).unwrap();
    clock.advance(30 * DAY);
    let later = giving_now(TTL, dir.path(), &clock).await;
    assert_eq!(record(&later).phase, Phase::Retired);
}

async fn giving_now(ttl: Duration, dir: &Path, clock: &HandClock) -> Authority {
    let authority = giving(ttl, dir, clock);
    look(&authority).await;
    authority
}

#[tokio::test]
async fn a_certificate_is_given_for_longer_only_after_that_is_stored() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let first = giving_now(TTL, dir.path(), &clock).await;
    assert!(
        first
            .issuer()
            .unwrap()
            .documents()
            .rotation
            .record
            .is_none(),
        "what everybody has needs no word"
    );
    let raised = giving(30 * DAY, dir.path(), &clock);
    raised.refresh().await.unwrap();
    assert!(leaf(&raised).not_after() <= clock.now() + TTL);
    look(&raised).await;
    assert_eq!(record(&raised).leaf_life, Some(30 * 24 * 3600));
    assert!(leaf(&raised).not_after() > clock.now() + 29 * DAY);
    look(&raised).await;
    let stored = std::fs::read(dir.path().join("rotation.json")).unwrap();
    assert_eq!(Record::read(Some(&stored)), Ok(record(&raised)));
}

#[tokio::test]
async fn a_paused_rotation_stays_where_it_is_and_goes_on_from_there() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let authority = authority(dir.path(), &clock);
    look(&authority).await;
    order(dir.path(), "1");
    look(&authority).await;
    look(&authority).await;
    assert_eq!(record(&authority).phase, Phase::Distributed);
    let pause = dir.path().join("rotation-paused");
    std::fs::write(&pause, "").unwrap();
    clock.advance(10 * TTL);
    look(&authority).await;
    assert_eq!(record(&authority).phase, Phase::Distributed);
    let status = std::fs::read_to_string(dir.path().join("rotation-status.yaml")).unwrap();
    assert!(status.contains("waitingFor: paused\n"), "{status}");
    std::fs::remove_file(pause).unwrap();
    look(&authority).await;
    assert_eq!(record(&authority).phase, Phase::Active);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_the_rotation_and_not_the_authority() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let authority = authority(dir.path(), &clock);
    look(&authority).await;
    order(dir.path(), "1");
    look(&authority).await;
    std::fs::write(dir.path().join("rotation.json"), "{\"phase\":").unwrap();
    let first = anchors(&authority);
    for _ in 0..3 {
        look(&authority).await;
        clock.advance(TTL);
    }
    leaf(&authority).verify(&first, clock.now()).unwrap();
    let status = std::fs::read_to_string(dir.path().join("rotation-status.yaml")).unwrap();
    assert!(status.contains("rotation.json cannot be read"), "{status}");
    std::fs::remove_file(dir.path().join("rotation.json")).unwrap();
    look(&authority).await;
    assert_eq!(record(&authority).phase, Phase::Prepared, "it begins anew");
}

#[tokio::test]
async fn an_authority_that_is_put_there_by_hand_ends_the_rotation() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let rotating = authority(dir.path(), &clock);
    look(&rotating).await;
    order(dir.path(), "1");
    look(&rotating).await;
    look(&rotating).await;
    assert_eq!(record(&rotating).phase, Phase::Distributed);
    let elsewhere = tempfile::tempdir().unwrap();
    look(&authority(elsewhere.path(), &clock)).await;
    for name in ["ca.crt", "issuer.crt", "issuer.key", "ca.key"] {
        std::fs::copy(elsewhere.path().join(name), dir.path().join(name)).unwrap();
    }
    look(&rotating).await;
    assert_eq!(record(&rotating).phase, Phase::Stable);
    assert!(record(&rotating).reason.contains("replaced by hand"));
    assert!(!dir.path().join("next-issuer.key").exists());
}

#[tokio::test]
async fn half_a_prepared_authority_is_none() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let authority = authority(dir.path(), &clock);
    look(&authority).await;
    let first = anchors(&authority);
    order(dir.path(), "1");
    look(&authority).await;
    std::fs::remove_file(dir.path().join("next-issuer.key")).unwrap();
    look(&authority).await;
    assert_eq!(record(&authority).phase, Phase::Stable);
    assert_eq!(anchors(&authority), first);
}
