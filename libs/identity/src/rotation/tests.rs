use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::*;
use crate::{
    Clock as _, Identity,
    testing::{Authority, VirtualClock, jwt},
};

const URI: &str = "spiffe://td/ns/shop/cart";

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Renewed,
    Failed(&'static str),
    Expired,
}

/// Answers by a script, then by certificates of one life time.
struct Ca {
    clock: Arc<VirtualClock>,
    authority: Arc<Mutex<Authority>>,
    script: Mutex<VecDeque<Result<(), &'static str>>>,
    life: Duration,
    asked: Mutex<Vec<Duration>>,
    tokens: Mutex<Tokens>,
    /// Another anchor that is distributed.
    also: Mutex<String>,
    started: Instant,
}

#[async_trait]
impl CertificateSigner for Arc<Ca> {
    async fn sign(&self, csr_pem: &str) -> Result<Issued, SignError> {
        self.asked.lock().push(self.started.elapsed());
        let scripted = self.script.lock().pop_front();
        if let Some(Err(class)) = scripted {
            if class == "hang" {
                std::future::pending::<()>().await;
            }
            let message = "no".to_owned();
            return Err(SignError { class, message });
        }
        let now = self.clock.now();
        let span = (now - Duration::from_secs(900), now + self.life);
        let authority = self.authority.lock();
        Ok(Issued {
            chain_pem: authority.sign(csr_pem, &[URI], span).into_bytes(),
            anchors_pem: Some((authority.pem() + &self.also.lock()).into_bytes()),
            tokens: self.tokens.lock().clone(),
        })
    }
}

#[derive(Default)]
struct Log(Mutex<Vec<Seen>>);

impl RenewalObserver for Log {
    fn renewed(&self, _svid: &Svid) {
        self.0.lock().push(Seen::Renewed);
    }

    fn failed(&self, error: &RenewalError, _retry_in: Duration) {
        let class = match error {
            RenewalError::Sign(error) => error.class,
            RenewalError::Timeout(_) => "timeout",
            RenewalError::Untrusted(_) => "untrusted",
            RenewalError::Jwt(error) => error.class(),
            other => panic!("{other}"),
        };
        self.0.lock().push(Seen::Failed(class));
    }

    fn expired(&self, _not_after: SystemTime) {
        self.0.lock().push(Seen::Expired);
    }
}

struct World {
    ca: Arc<Ca>,
    log: Arc<Log>,
    publisher: Publisher,
    identity: Identity,
}

fn world(life: Duration, script: &[Result<(), &'static str>]) -> World {
    let clock = VirtualClock::start();
    let authority = Authority::new("root");
    let (publisher, identity) = Publisher::new(authority.bundle(), clock.clone());
    let ca = Arc::new(Ca {
        clock,
        authority: Arc::new(Mutex::new(authority)),
        script: Mutex::new(script.iter().copied().collect()),
        life,
        asked: Mutex::default(),
        tokens: Mutex::default(),
        also: Mutex::default(),
        started: Instant::now(),
    });
    World {
        ca,
        log: Arc::default(),
        publisher,
        identity,
    }
}

impl World {
    /// Runs the loop for a span of virtual time.
    async fn run(&self, span: Duration, learnt_anchors: LearntAnchors) {
        let rotation = Rotation {
            signer: Arc::clone(&self.ca),
            observer: self.log.clone(),
            key_type: KeyType::Ed25519,
            learnt_anchors,
            schedule: Schedule::default(),
        };
        let run = rotation.run(self.publisher.clone());
        assert!(tokio::time::timeout(span, run).await.is_err());
    }

    fn seen(&self) -> Vec<Seen> {
        self.log.0.lock().clone()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn renewal_comes_between_a_half_and_two_thirds_of_the_remaining_life() {
    let world = world(24 * HOUR, &[]);
    world.run(17 * HOUR, LearntAnchors::Ignore).await;
    let asked = world.ca.asked.lock().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[1] >= 12 * HOUR && asked[1] <= 16 * HOUR, "{asked:?}");
    assert_eq!(world.seen(), [Seen::Renewed, Seen::Renewed]);
}

/// Lets the authority issue a token for the trust domain, and one for `mart` that expires first.
fn issue_tokens(world: &World, audience: &str) {
    let now = world.ca.clock.now();
    let mart = jwt(&["mart"], now + HOUR);
    *world.ca.tokens.lock() = Tokens {
        base: Some(jwt(&[audience, "mart"], now + 2 * HOUR)),
        per_audience: [("mart".to_owned(), mart)].into(),
    };
}

#[tokio::test(start_paused = true)]
async fn a_token_for_one_audience_that_expires_first_decides_when_all_is_renewed() {
    let world = world(24 * HOUR, &[]);
    issue_tokens(&world, "td");
    world.run(HOUR * 41 / 60, LearntAnchors::Ignore).await;
    let asked = world.ca.asked.lock().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(
        asked[1] >= HOUR / 2 && asked[1] <= HOUR * 2 / 3,
        "{asked:?}"
    );
    let svid = world.identity.current().unwrap();
    assert_eq!(svid.jwts().fetch("mart").unwrap().audiences(), ["mart"]);
    assert_eq!(svid.jwts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_token_for_others_is_refused_as_a_whole() {
    let world = world(24 * HOUR, &[]);
    issue_tokens(&world, "elsewhere");
    world
        .run(Duration::from_millis(1), LearntAnchors::Ignore)
        .await;
    assert_eq!(world.seen(), [Seen::Failed("jwt_aud")]);
    assert!(world.identity.current().is_none());
}

#[tokio::test(start_paused = true)]
async fn certificates_of_seconds_are_renewed_within_seconds() {
    let world = world(Duration::from_secs(3), &[]);
    world
        .run(Duration::from_secs(20), LearntAnchors::Ignore)
        .await;
    let seen = world.seen();
    // Certificates tell whole seconds: 2 to 3 s are left of each, so 1 to 2 s pass between renewals.
    assert!((10..=21).contains(&seen.len()), "{seen:?}");
    assert!(seen.iter().all(|seen| *seen == Seen::Renewed));
}

#[tokio::test(start_paused = true)]
async fn failures_are_reported_and_retried_until_one_succeeds() {
    let world = world(24 * HOUR, &[Err("sentry_conn"), Err("sign"), Err("hang")]);
    world.run(HOUR, LearntAnchors::Ignore).await;
    assert_eq!(
        world.seen(),
        [
            Seen::Failed("sentry_conn"),
            Seen::Failed("sign"),
            Seen::Failed("timeout"),
            Seen::Renewed
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_old_svid_stays_while_renewal_fails_and_its_end_is_told_once() {
    let mut script = vec![Ok(())];
    script.resize(2000, Err("sentry_conn"));
    let world = world(HOUR, &script);
    world.run(HOUR + HOUR / 2, LearntAnchors::Ignore).await;
    let seen = world.seen();
    let expired = seen.iter().position(|seen| *seen == Seen::Expired).unwrap();
    assert_eq!(
        seen.iter().filter(|seen| **seen == Seen::Expired).count(),
        1
    );
    assert!(
        seen[1..expired]
            .iter()
            .all(|seen| *seen == Seen::Failed("sentry_conn"))
    );
    assert!(expired > 100, "retries come at least every ten seconds");
    assert!(world.identity.current().is_some());
}

#[tokio::test(start_paused = true)]
async fn every_renewal_has_a_new_key() {
    let world = world(Duration::from_secs(3), &[]);
    world
        .run(Duration::from_secs(1), LearntAnchors::Ignore)
        .await;
    let first = world.identity.current().unwrap();
    world
        .run(Duration::from_secs(1), LearntAnchors::Ignore)
        .await;
    assert_ne!(first.chain(), world.identity.current().unwrap().chain());
}

#[tokio::test(start_paused = true)]
async fn learnt_anchors_are_adopted_only_where_asked() {
    let next = Authority::new("next");
    let (old_pem, next_pem) = (Authority::new("x").pem(), next.pem());
    assert_ne!(old_pem, next_pem);
    let world = world(24 * HOUR, &[]);
    *world.ca.authority.lock() = next;

    world.run(HOUR, LearntAnchors::Ignore).await;
    assert!(world.identity.current().is_none());
    assert!(
        world
            .seen()
            .iter()
            .all(|seen| *seen == Seen::Failed("untrusted"))
    );

    world.run(HOUR, LearntAnchors::Adopt).await;
    assert_eq!(
        world.identity.current_bundle().pem().replace('\r', ""),
        next_pem.replace('\r', "")
    );
    assert!(world.identity.current().is_some());
}

#[tokio::test(start_paused = true)]
async fn withdrawn_anchors_cause_a_renewal_at_once() {
    let world = world(24 * HOUR, &[]);
    let next = Authority::new("next");
    let change = async {
        tokio::time::sleep(HOUR).await;
        let bundle = next.bundle();
        *world.ca.authority.lock() = next;
        world.publisher.publish_bundle(bundle);
    };
    tokio::join!(world.run(2 * HOUR, LearntAnchors::Ignore), change);
    assert_eq!(world.seen(), [Seen::Renewed, Seen::Renewed]);
    let asked = world.ca.asked.lock().clone();
    assert!(asked[1] < HOUR + Duration::from_secs(1), "{asked:?}");
}

/// The anchors of both.
fn both(one: &Authority, other: &Authority) -> TrustBundle {
    let pem = one.pem() + &other.pem();
    TrustBundle::from_pem(pem.as_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn anchors_that_come_are_told_within_seconds_and_once() {
    let world = world(24 * HOUR, &[]);
    let next = Authority::new("next");
    let change = async {
        tokio::time::sleep(HOUR).await;
        let both = both(&world.ca.authority.lock(), &next);
        world.publisher.publish_bundle(both);
    };
    tokio::join!(world.run(10 * HOUR, LearntAnchors::Ignore), change);
    let asked = world.ca.asked.lock().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let after = asked[1].checked_sub(HOUR).unwrap();
    let soon = Duration::from_millis(900)..=TELL_WITHIN + Duration::from_millis(100);
    assert!(soon.contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn anchors_that_came_with_an_answer_are_told_within_seconds_and_once() {
    let world = world(24 * HOUR, &[]);
    let next = Authority::new("next");
    *world.ca.also.lock() = next.pem();
    world.run(10 * HOUR, LearntAnchors::Adopt).await;
    let asked = world.ca.asked.lock().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(
        asked[1] <= TELL_WITHIN + Duration::from_millis(100),
        "{asked:?}"
    );
    assert_eq!(world.identity.current_bundle().fingerprints().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn holders_of_short_lived_certificates_tell_sooner() {
    let world = world(Duration::from_secs(10), &[]);
    let next = Authority::new("next");
    let both = both(&world.ca.authority.lock(), &next);
    let change = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.publisher.publish_bundle(both);
    };
    tokio::join!(
        world.run(Duration::from_millis(3100), LearntAnchors::Ignore),
        change
    );
    assert_eq!(world.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_there_are_anchors() {
    let world = world(24 * HOUR, &[]);
    let authority = world.identity.current_bundle();
    world.publisher.publish_bundle(TrustBundle::empty());
    let later = async {
        tokio::time::sleep(HOUR).await;
        assert!(world.ca.asked.lock().is_empty());
        world.publisher.publish_bundle((*authority).clone());
    };
    tokio::join!(world.run(2 * HOUR, LearntAnchors::Ignore), later);
    assert_eq!(world.seen(), [Seen::Renewed]);
}

#[tokio::test(start_paused = true)]
async fn sentry_that_was_away_for_an_hour_is_used_as_soon_as_it_is_back() {
    let world = world(HOUR / 2, &[Ok(())]);
    let away = async {
        // The first certificate is there; whoever asks in the hour after that gets no answer.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let silent: VecDeque<_> = std::iter::repeat_n(Err("sentry_conn"), 2000).collect();
        *world.ca.script.lock() = silent;
        tokio::time::sleep(HOUR).await;
        world.ca.script.lock().clear();
    };
    tokio::join!(
        world.run(HOUR + Duration::from_secs(60), LearntAnchors::Ignore),
        away
    );
    let seen = world.seen();
    assert!(seen.contains(&Seen::Expired), "{seen:?}");
    assert_eq!(seen.last(), Some(&Seen::Renewed), "{seen:?}");
    let expired = world.identity.current().unwrap().not_after() < world.ca.clock.now();
    assert!(!expired, "the new certificate is in use");
}
