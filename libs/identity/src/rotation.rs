//! Keeps an SVID current: asks for one, publishes it, renews it in good time.
//!
//! One task owns the schedule and the retries. Renewal comes at a random moment between a half and
//! two thirds of the time that is left when a certificate arrives, so that a fleet that started
//! together does not ask together. When the anchors in force change, the next request comes within seconds, once, and
//! tells the authority so: a rotation of the root waits for that. Times are wall-clock times, looked at again at least once a
//! minute, so that a clock that jumps or a machine that slept is noticed.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use rand::Rng as _;
use tokio::sync::watch;

use crate::{
    BundleError, Csr, CsrError, JwtError, JwtSvids, KeyType, Publisher, Svid, SvidError, Tokens,
    TrustBundle, VerificationError,
};

/// The longest sleep before the wall clock is looked at again.
const RECHECK: Duration = Duration::from_secs(60);

/// The longest time after which a change of the anchors is told to the authority; where certificates are short-lived,
/// a fifth of their life. Without it, a change of a file would make all who follow it ask at once.
const TELL_WITHIN: Duration = Duration::from_secs(10);

/// No renewal comes sooner than this after the last, however short certificates live.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// What an authority answered.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate chain, leaf first.
    pub chain_pem: Vec<u8>,
    /// The trust anchors that the authority distributes, if it sent any.
    pub anchors_pem: Option<Vec<u8>>,
    /// Tokens of the same identity, if it issues any.
    pub tokens: Tokens,
}

/// Why an authority gave no certificate. `class` is a short constant, fit for a metric's label.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SignError {
    /// At which step: `sentry_conn`, `sentry_token`, `sign`, ...
    pub class: &'static str,
    /// The reason, for people.
    pub message: String,
}

/// Somebody who signs certificates for us. Implementations neither retry nor wait without a limit.
#[async_trait]
pub trait CertificateSigner: Send + Sync + 'static {
    /// Asks for a certificate for the key that `csr_pem` was made with.
    async fn sign(&self, csr_pem: &str) -> Result<Issued, SignError>;
}

/// Why a renewal failed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// No key could be made.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The authority gave none.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// It did not answer in time.
    #[error("no answer from the certificate authority within {}s", .0.as_secs())]
    Timeout(Duration),
    /// What it gave is no SVID.
    #[error("the certificate authority's answer is unusable: {0}")]
    Answer(#[from] SvidError),
    /// Its anchors cannot be read.
    #[error("the certificate authority's answer is unusable: {0}")]
    Anchors(#[from] BundleError),
    /// A token that came along is not for us, or no token.
    #[error("the certificate authority's answer is unusable: {0}")]
    Jwt(#[from] JwtError),
    /// Our own peers would refuse it.
    #[error("the issued certificate would be refused by peers: {0}")]
    Untrusted(#[from] VerificationError),
}

/// Is told what happens; must return at once.
pub trait RenewalObserver: Send + Sync + 'static {
    /// A new SVID is in use.
    fn renewed(&self, svid: &Svid);
    /// A renewal failed; the next attempt comes after `retry_in`.
    fn failed(&self, error: &RenewalError, retry_in: Duration);
    /// The SVID in use is valid no longer: peers refuse us from now on. Told once.
    fn expired(&self, not_after: SystemTime);
}

/// What to do with the anchors that come with a certificate. They are as trustworthy as the
/// anchors in force, which authenticated the authority that sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearntAnchors {
    /// They replace the bundle: for a process that was started with a snapshot.
    Adopt,
    /// They are ignored: for a process whose anchors are kept current by other means.
    Ignore,
}

/// When to try again, and for how long to wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The longest time for one request.
    pub attempt: Duration,
    /// The pause after the first failure; it doubles with every further one.
    pub first_retry: Duration,
    /// The longest pause.
    pub max_retry: Duration,
}

/// A renewal loop, ready to run.
pub struct Rotation<S> {
    /// Who signs.
    pub signer: S,
    /// Who is told.
    pub observer: Arc<dyn RenewalObserver>,
    /// What kind of key every certificate gets, a new one each time.
    pub key_type: KeyType,
    /// Whether anchors are learnt.
    pub learnt_anchors: LearntAnchors,
    /// Limits.
    pub schedule: Schedule,
}

// === impl Schedule ===

impl Default for Schedule {
    fn default() -> Self {
        Self {
            // A dial (5 s) and a signature by an authority under load.
            attempt: Duration::from_secs(15),
            first_retry: Duration::from_millis(200),
            // Upstream's fixed pause.
            max_retry: Duration::from_secs(10),
        }
    }
}

impl Schedule {
    /// The pause after `failures` failures in a row: exponential, jittered by a half.
    fn retry(&self, failures: u32) -> Duration {
        let factor = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let pause = self.first_retry.saturating_mul(factor).min(self.max_retry);
        pause.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

// === impl Rotation ===

impl<S: CertificateSigner> Rotation<S> {
    /// Runs for ever.
    ///
    /// # Cancel safety
    /// May be dropped at any await; what was published stays.
    pub async fn run(self, publisher: Publisher) -> Infallible {
        let mut bundle = publisher.bundle();
        let mut failures = 0;
        let mut expiry = Expiry::new(Arc::clone(&self.observer));
        wait_for_anchors(&mut bundle).await;
        loop {
            bundle.mark_unchanged();
            let until = match self.renew(&publisher).await {
                Ok(svid) => {
                    failures = 0;
                    expiry.watch(&svid);
                    self.observer.renewed(&svid);
                    let pause = renewal_in(&svid, publisher.now());
                    // New anchors came with the answer.
                    let learnt = bundle.has_changed().unwrap_or_default();
                    bundle.mark_unchanged();
                    publisher.now()
                        + if learnt {
                            pause.min(telling_in(&svid, publisher.now()))
                        } else {
                            pause
                        }
                }
                Err(error) => {
                    failures += 1;
                    let pause = self.schedule.retry(failures);
                    self.observer.failed(&error, pause);
                    publisher.now() + pause
                }
            };
            sleep_until(until, (&publisher, &mut bundle, &mut expiry)).await;
        }
    }

    async fn renew(&self, publisher: &Publisher) -> Result<Arc<Svid>, RenewalError> {
        let csr = Csr::generate(self.key_type)?;
        let limit = self.schedule.attempt;
        let issued = tokio::time::timeout(limit, self.signer.sign(&csr.pem))
            .await
            .map_err(|_| RenewalError::Timeout(limit))??;
        let svid = Svid::from_pem(&issued.chain_pem, csr.key)?;
        let trust_domain = svid.id().trust_domain();
        let jwts = JwtSvids::read(&issued.tokens, trust_domain, publisher.now())?;
        let svid = svid.with_jwts(jwts);
        let published = match (self.learnt_anchors, issued.anchors_pem) {
            (LearntAnchors::Adopt, Some(anchors)) => {
                publisher.publish_with(svid, TrustBundle::from_pem(&anchors)?)?
            }
            (LearntAnchors::Adopt, None) | (LearntAnchors::Ignore, _) => publisher.publish(svid)?,
        };
        Ok(published)
    }
}

/// Tells the observer once when the SVID in use is valid no longer.
struct Expiry {
    observer: Arc<dyn RenewalObserver>,
    not_after: Option<SystemTime>,
}

impl Expiry {
    fn new(observer: Arc<dyn RenewalObserver>) -> Self {
        Self {
            observer,
            not_after: None,
        }
    }

    fn watch(&mut self, svid: &Svid) {
        self.not_after = Some(svid.not_after());
    }

    fn check(&mut self, now: SystemTime) {
        if let Some(not_after) = self.not_after.take_if(|not_after| *not_after < now) {
            self.observer.expired(not_after);
        }
    }

    /// How long the SVID in use is still valid, plus the moment that makes it invalid.
    fn remaining(&self, now: SystemTime) -> Duration {
        self.not_after.map_or(RECHECK, |not_after| {
            not_after.duration_since(now).unwrap_or_default() + Duration::from_millis(1)
        })
    }
}

/// A random moment between a half and two thirds of what is left of `svid` and of the tokens that came with it.
fn renewal_in(svid: &Svid, now: SystemTime) -> Duration {
    let left = svid.expiry().duration_since(now).unwrap_or_default();
    left.mul_f64(rand::rng().random_range(0.5..=2.0 / 3.0))
        .max(MIN_INTERVAL)
}

/// An authority cannot be verified with no anchors, so there is no point in asking before.
async fn wait_for_anchors(bundle: &mut watch::Receiver<Arc<TrustBundle>>) {
    if bundle.wait_for(|bundle| !bundle.is_empty()).await.is_err() {
        // The publisher is held by our caller, so its end is ours.
        std::future::pending::<()>().await;
    }
}

/// A random moment, soon, at which the authority is told that the anchors changed.
fn telling_in(svid: &Svid, now: SystemTime) -> Duration {
    let left = svid.expiry().duration_since(now).unwrap_or_default();
    let longest = TELL_WITHIN.min(left / 5);
    longest
        .mul_f64(rand::rng().random_range(0.1..=1.0))
        .max(MIN_INTERVAL)
}

/// Sleeps until the wall clock shows `until`, or a little while if the anchors change; not at all if they change so
/// that the SVID in use is worth nothing.
async fn sleep_until(
    mut until: SystemTime,
    (publisher, bundle, expiry): (
        &Publisher,
        &mut watch::Receiver<Arc<TrustBundle>>,
        &mut Expiry,
    ),
) {
    loop {
        let now = publisher.now();
        expiry.check(now);
        let Ok(left) = until.duration_since(now) else {
            return;
        };
        if left.is_zero() {
            return;
        }
        let slice = left.min(RECHECK).min(expiry.remaining(now));
        tokio::select! {
            () = tokio::time::sleep(slice) => {}
            Ok(()) = bundle.changed() => {
                match usable(publisher) {
                    Some(svid) => until = until.min(now + telling_in(&svid, now)),
                    None => return,
                }
            }
        }
    }
}

/// The SVID in use, if it chains to the anchors in force.
fn usable(publisher: &Publisher) -> Option<Arc<Svid>> {
    let bundle = publisher.bundle();
    let svid = publisher.current()?;
    let verified = svid.verify(&bundle.borrow(), publisher.now());
    verified.is_ok().then_some(svid)
}

#[cfg(test)]
mod tests;
