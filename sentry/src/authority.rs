//! The issuer in use: loaded from the store, looked at again and again, replaced when it changed.
//!
//! A set of documents that is no authority never replaces one that is: it is logged, and the old
//! issuer goes on signing. The process is ready as long as it has an issuer that has not expired.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};
use trilby_bootstrap::Latch;
use trilby_grpc::Backoff;
use trilby_identity::{
    CertificateSigner, Clock, Issued, Publisher, RenewalError, RenewalObserver, SignError,
    SpiffeId, Svid, Tokens, TrustDomain,
};

use crate::{
    bundle::{Documents, unix_seconds},
    csr,
    issuer::{Issuer, IssuerError, Leaf, Validity},
    metrics::Metrics,
    store::{Store, StoreError},
};

/// How often the store is looked at: a rotation by hand takes effect within this time, and a
/// damaged ConfigMap is repaired.
const POLL: Duration = Duration::from_secs(5);

/// From when on the end of the issuer is worth a daily warning.
const EXPIRY_NOTICE: Duration = Duration::from_hours(30 * 24);

/// How often that warning is repeated.
const NOTICE_INTERVAL: Duration = Duration::from_hours(24);

/// Why there is no issuer, or not the one that is stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored certificate authority is unusable: {0}")]
    Unusable(#[from] IssuerError),
}

/// See the module.
pub(crate) struct Authority {
    pub(crate) store: Store,
    pub(crate) sentry: SpiffeId,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) validity: Validity,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) current: watch::Sender<Option<Arc<Issuer>>>,
}

impl Authority {
    /// The issuer in use.
    pub(crate) fn issuer(&self) -> Option<Arc<Issuer>> {
        self.current.borrow().clone()
    }

    /// Now, by the authority's clock.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Takes what is stored into use; returns it if it is new. Without anything stored, what is in
    /// use is stored again, and at the very first a new authority is.
    pub(crate) async fn refresh(&self) -> Result<Option<Arc<Issuer>>, AuthorityError> {
        let current = self.issuer();
        let absent = || match &current {
            Some(issuer) => {
                tracing::warn!("the stored certificate authority is gone, writing it again");
                Ok(issuer.documents().clone())
            }
            None => self.generate(),
        };
        let documents = self.store.load(&absent).await?;
        if current.is_some_and(|issuer| *issuer.documents() == documents) {
            return Ok(None);
        }
        let issuer = Issuer::new(documents, &self.sentry, (self.now(), self.validity))?;
        let expiry = unix_seconds(issuer.not_after());
        let anchors = issuer.anchors().len();
        self.metrics.issuer_changed.inc();
        self.metrics
            .issuer_expiry
            .set(i64::try_from(expiry).unwrap_or(i64::MAX));
        tracing::info!(expiry, anchors, "certificate authority in use");
        self.current.send_replace(Some(Arc::clone(&issuer)));
        Ok(Some(issuer))
    }

    /// Refreshes for ever, and hands new anchors to `publisher`.
    ///
    /// # Cancel safety
    /// May be dropped at any await.
    pub(crate) async fn keep(&self, publisher: Publisher, latch: Latch) -> Infallible {
        let mut backoff = Backoff::new(Duration::from_millis(250), POLL);
        let mut complaint = String::new();
        let mut next_notice = Instant::now();
        if let Some(issuer) = self.issuer() {
            publisher.publish_bundle(issuer.anchors().clone());
        }
        loop {
            let pause = match self.refresh().await {
                Ok(changed) => {
                    if let Some(issuer) = changed {
                        publisher.publish_bundle(issuer.anchors().clone());
                    }
                    complaint.clear();
                    backoff.reset();
                    POLL
                }
                Err(error) => {
                    complain(&mut complaint, &error);
                    backoff.pause()
                }
            };
            self.report(&latch, &complaint);
            self.notice_expiry(&mut next_notice);
            tokio::time::sleep(pause).await;
        }
    }

    fn report(&self, latch: &Latch, complaint: &str) {
        match self.issuer() {
            Some(issuer) if issuer.not_after() > self.now() => latch.ready(),
            Some(_expired) => latch.unready("the issuer certificate has expired"),
            None => latch.unready(complaint),
        }
    }

    fn notice_expiry(&self, next: &mut Instant) {
        let Some(issuer) = self.issuer() else { return };
        let left = issuer.not_after().duration_since(self.now());
        let left = left.unwrap_or_default();
        if left < EXPIRY_NOTICE && Instant::now() >= *next {
            *next = Instant::now() + NOTICE_INTERVAL;
            let days = left.as_secs() / (24 * 60 * 60);
            tracing::warn!(
                days,
                "the issuer certificate expires soon: renew the certificate authority"
            );
        }
    }

    fn generate(&self) -> Result<Documents, rcgen::Error> {
        tracing::info!("no certificate authority stored, generating a self-signed one");
        let moment = (self.now(), self.validity.clock_skew);
        Documents::generate(&self.sentry, &self.trust_domain, moment)
    }
}

/// Logs an error once for as long as it stays the same.
fn complain(last: &mut String, error: &AuthorityError) {
    let text = error.to_string();
    if *last != text {
        tracing::error!(error = text, "certificate authority could not be loaded");
        *last = text;
    }
}

/// Sentry's own certificate comes from its own issuer, without a network in between.
pub(crate) struct OwnSigner(pub(crate) Arc<Authority>);

#[async_trait]
impl CertificateSigner for OwnSigner {
    async fn sign(&self, csr_pem: &str) -> Result<Issued, SignError> {
        let failed = |message: String| SignError {
            class: "sign",
            message,
        };
        let authority = &self.0;
        let issuer = authority
            .issuer()
            .ok_or_else(|| failed("no certificate authority yet".to_owned()))?;
        let key = csr::public_key(csr_pem.as_bytes()).map_err(|error| failed(error.to_string()))?;
        let leaf = Leaf {
            id: authority.sentry.clone(),
            dns_names: Vec::new(),
            images: None,
        };
        let signed = issuer
            .sign(&leaf, &key, authority.now())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Issued {
            chain_pem: signed.chain_pem.into_bytes(),
            anchors_pem: None,
            tokens: Tokens::default(),
        })
    }
}

/// Tells how sentry's own certificate fares.
pub(crate) struct OwnObserver {
    pub(crate) latch: Latch,
    pub(crate) metrics: Metrics,
}

impl RenewalObserver for OwnObserver {
    fn renewed(&self, svid: &Svid) {
        self.latch.ready();
        tracing::info!(id = %svid.id(), expiry = unix_seconds(svid.not_after()), "own certificate signed");
    }

    fn failed(&self, error: &RenewalError, _retry_in: Duration) {
        self.metrics.own_failed();
        tracing::warn!(%error, "own certificate could not be signed");
    }

    fn expired(&self, _not_after: SystemTime) {
        self.latch.unready("own certificate expired");
        tracing::error!("own certificate expired, clients refuse it");
    }
}
