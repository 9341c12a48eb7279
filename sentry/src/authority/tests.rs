mod rotation;

use std::path::Path;

use parking_lot::Mutex;
use prometheus::Registry;

use super::*;
use crate::{bundle::Bundle, issuer::testing::VALIDITY, source::SelfSigned, store::DiskStore};

const DAY: Duration = Duration::from_hours(24);

/// A clock that is set by hand.
#[derive(Debug, Clone)]
struct HandClock(Arc<Mutex<SystemTime>>);

impl Clock for HandClock {
    fn now(&self) -> SystemTime {
        *self.0.lock()
    }
}

impl HandClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(SystemTime::now())))
    }

    fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

fn authority(dir: &Path, clock: &HandClock) -> Authority {
    let path = |name| dir.join(name);
    let (_keeps_its_last_value, validity) = watch::channel(VALIDITY);
    Authority {
        store: Store::Disk(DiskStore {
            ca: path("ca.crt"),
            issuer: path("issuer.crt"),
            key: path("issuer.key"),
            root_key: path("ca.key"),
            tokens: None,
        }),
        sentry: "spiffe://td/ns/default/dapr-sentry".parse().unwrap(),
        trust_domain: TrustDomain::parse("td").unwrap(),
        surroundings: Surroundings::Machine {
            status: path("rotation-status.yaml"),
        },
        evidence: Evidence::default(),
        leaves: Leaves::default(),
        sources: Sources::own(SelfSigned::default()),
        validity,
        tokens: None,
        clock: Arc::new(clock.clone()),
        metrics: Metrics::register(&Registry::new()).unwrap(),
        current: watch::Sender::new(None),
    }
}

#[tokio::test]
async fn the_issuer_is_renewed_at_two_thirds_of_its_life_and_not_before() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let authority = authority(dir.path(), &clock);
    let first = authority.refresh().await.unwrap().unwrap();
    clock.advance(243 * DAY);
    assert!(authority.renew_in_time().await.unwrap().is_none());
    clock.advance(DAY);
    let second = authority.renew_in_time().await.unwrap().unwrap();
    assert_eq!(first.anchors(), second.anchors());
    assert!(second.not_after() > first.not_after() + 200 * DAY);
    assert!(authority.renew_in_time().await.unwrap().is_none());
    assert!(authority.refresh().await.unwrap().is_none(), "it is stored");
}

#[tokio::test]
async fn of_replicas_one_renews_and_the_others_adopt_it() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let replicas = [authority(dir.path(), &clock), authority(dir.path(), &clock)];
    for replica in &replicas {
        replica.refresh().await.unwrap().unwrap();
    }
    clock.advance(300 * DAY);
    let renewed = replicas[0].renew_in_time().await.unwrap().unwrap();
    assert!(
        replicas[1].renew_in_time().await.unwrap().is_none(),
        "overtaken"
    );
    let adopted = replicas[1].refresh().await.unwrap().unwrap();
    assert_eq!(adopted.documents(), renewed.documents());
    assert!(replicas[1].renew_in_time().await.unwrap().is_none());
}

#[tokio::test]
async fn an_issuer_that_ended_while_nobody_ran_is_renewed_at_the_start() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    authority(dir.path(), &clock).refresh().await.unwrap();
    clock.advance(400 * DAY);
    let late = authority(dir.path(), &clock);
    let issuer = late.refresh().await.unwrap().unwrap();
    assert!(issuer.not_after() > clock.now() + 364 * DAY);
}

#[tokio::test]
async fn an_issuer_of_others_is_not_renewed_and_the_reason_is_told_once() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let authority = authority(dir.path(), &clock);
    let issuer = authority.refresh().await.unwrap().unwrap();
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    authority.refresh().await.unwrap().unwrap();
    clock.advance(300 * DAY);
    let mut complaints = Complaints::default();
    for _ in 0..2 {
        let outcome = authority.renew_in_time().await;
        let text = outcome.as_ref().err().unwrap().to_string();
        let expected =
            "the issuer is to be renewed, but cannot be: the root's key is not kept here";
        assert_eq!(text, expected);
        complaints.renewal(&outcome);
        assert_eq!(complaints.renewal, expected);
        assert_eq!(
            changed(&mut complaints.renewal, &outcome),
            None,
            "said already"
        );
    }
    assert_eq!(authority.issuer().unwrap().not_after(), issuer.not_after());
}

#[tokio::test]
async fn half_written_files_keep_the_last_good_authority() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let authority = authority(dir.path(), &clock);
    let good = authority.refresh().await.unwrap().unwrap();
    for name in ["ca.crt", "issuer.crt", "issuer.key"] {
        let path = dir.path().join(name);
        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, &content[..content.len() / 2]).unwrap();
        assert!(authority.refresh().await.is_err(), "{name}");
        assert_eq!(authority.issuer().unwrap().documents(), good.documents());
        std::fs::write(&path, &content).unwrap();
    }
    assert!(authority.refresh().await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_renewed_is_an_authority_for_whoever_reads_upstreams_three_documents() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let authority = authority(dir.path(), &clock);
    authority.refresh().await.unwrap();
    clock.advance(300 * DAY);
    let renewed = authority.renew_in_time().await.unwrap().unwrap();
    let documents = Documents {
        root_key: None,
        tokens: None,
        ..renewed.documents().clone()
    };
    let bundle = Bundle::read(&documents, clock.now()).unwrap();
    assert_eq!((bundle.anchors.len(), bundle.chain.len()), (1, 1));
}
