//! The issuer in use: loaded from the store, looked at again and again, replaced when it changed, renewed in time.
//!
//! A set of documents that is no authority never replaces one that is: it is logged, and the old
//! issuer goes on signing. The process is ready as long as it has an issuer that has not expired.
//!
//! When two thirds of the issuer's life are over, and its root's key is kept here, the root signs another. Whichever
//! replica is first writes it, in the place of exactly the one that it replaces; the others find it there.

mod own;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};
use trilby_bootstrap::Latch;
use trilby_grpc::Backoff;
use trilby_identity::{Clock, Publisher, SpiffeId, TrustDomain};

use crate::{
    bundle::{Documents, unix_seconds},
    issuer::{Issuer, IssuerError, Validity},
    metrics::Metrics,
    source::{Order, SourceError, Sources},
    store::{Absent, GenerateError, Replaced, Store, StoreError},
    tokens::{TokenDocuments, TokenSettings},
};
pub(crate) use own::{OwnObserver, OwnSigner};

/// How often the store is looked at: a rotation by hand takes effect within this time, and a
/// damaged ConfigMap is repaired.
const POLL: Duration = Duration::from_secs(5);

/// From when on the end of issuer or root is worth a daily warning.
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
    #[error("the issuer is to be renewed, but cannot be: {0}")]
    Renewal(#[from] SourceError),
}

/// See the module.
pub(crate) struct Authority {
    pub(crate) store: Store,
    pub(crate) sentry: SpiffeId,
    pub(crate) trust_domain: TrustDomain,
    /// Who makes authorities and issuers.
    pub(crate) sources: Sources,
    pub(crate) validity: watch::Receiver<Validity>,
    /// How tokens are issued, if they are.
    pub(crate) tokens: Option<TokenSettings>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) current: watch::Sender<Option<Arc<Issuer>>>,
}

/// What is logged once for as long as it stays the same.
#[derive(Default)]
struct Complaints {
    load: String,
    renewal: String,
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

    /// Now, and for how long what is signed now is valid.
    pub(crate) fn moment(&self) -> (SystemTime, Validity) {
        (self.now(), *self.validity.borrow())
    }

    /// Takes what is stored into use; returns it if it is new. Without anything stored, what is in
    /// use is stored again, and at the very first a new authority is.
    pub(crate) async fn refresh(&self) -> Result<Option<Arc<Issuer>>, AuthorityError> {
        let documents = self.store.load(self).await?;
        let current = self.issuer();
        if current.is_some_and(|issuer| *issuer.documents() == documents) {
            return Ok(None);
        }
        match self.prove(documents.clone()) {
            Ok(issuer) => Ok(Some(self.adopt(issuer))),
            // All were away for too long. A root that is still trusted helps.
            Err(error) if error.is_expiry() => match self.renew(&documents, self.now()).await {
                Err(AuthorityError::Renewal(SourceError::NoRootKey)) => Err(error.into()),
                outcome => outcome,
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Renews the issuer in use if it is time; returns the new one.
    async fn renew_in_time(&self) -> Result<Option<Arc<Issuer>>, AuthorityError> {
        match self.issuer() {
            Some(issuer) if issuer.renewal_due() <= self.now() => {
                self.renew(issuer.documents(), issuer.not_after()).await
            }
            _ => Ok(None),
        }
    }

    /// Replaces stored `documents`, whose issuer ends at `end`. What replaces them has proved itself before it is stored.
    /// `None` if somebody else was faster: what they stored is found there.
    async fn renew(
        &self,
        documents: &Documents,
        end: SystemTime,
    ) -> Result<Option<Arc<Issuer>>, AuthorityError> {
        let renewer = self.sources.renewer(documents);
        let renewed = renewer.renew(documents, end, self.order()).await?;
        let issuer = self.prove(Documents {
            tokens: documents.tokens.clone(),
            ..renewed.into_documents()
        })?;
        match self.store.replace(documents, issuer.documents()).await? {
            Replaced::Overtaken => Ok(None),
            Replaced::Done => {
                self.metrics.issuer_renewed.inc();
                tracing::info!(expiry = unix_seconds(issuer.not_after()), "issuer renewed");
                Ok(Some(self.adopt(issuer)))
            }
        }
    }

    fn order(&self) -> Order<'_> {
        let (now, validity) = self.moment();
        Order {
            sentry: &self.sentry,
            trust_domain: &self.trust_domain,
            now,
            clock_skew: validity.clock_skew,
        }
    }

    fn prove(&self, documents: Documents) -> Result<Arc<Issuer>, IssuerError> {
        let who = (&self.sentry, self.tokens.as_ref());
        Issuer::new(documents, who, self.moment())
    }

    fn adopt(&self, issuer: Arc<Issuer>) -> Arc<Issuer> {
        let expiry = unix_seconds(issuer.not_after());
        let root_expiry = unix_seconds(issuer.root_not_after());
        let anchors = issuer.anchors().len();
        self.metrics.issuer_in_use(expiry, root_expiry);
        tracing::info!(expiry, root_expiry, anchors, "certificate authority in use");
        self.current.send_replace(Some(Arc::clone(&issuer)));
        issuer
    }

    /// Refreshes for ever, and hands new anchors to `publisher`.
    ///
    /// # Cancel safety
    /// May be dropped at any await.
    pub(crate) async fn keep(&self, publisher: Publisher, latch: Latch) -> Infallible {
        let mut backoff = Backoff::new(Duration::from_millis(250), POLL);
        let mut complaints = Complaints::default();
        let mut next_notice = Instant::now();
        if let Some(issuer) = self.issuer() {
            publisher.publish_bundle(issuer.anchors().clone());
        }
        loop {
            let loaded = self.refresh().await;
            self.metrics.stored_authority_usable(loaded.is_ok());
            let pause = if loaded.is_ok() {
                backoff.reset();
                POLL
            } else {
                backoff.pause()
            };
            complaints.load(&loaded);
            let renewed = self.renew_in_time().await;
            complaints.renewal(&renewed);
            for issuer in [loaded, renewed].into_iter().flatten().flatten() {
                publisher.publish_bundle(issuer.anchors().clone());
            }
            self.report(&latch, &complaints.load);
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
        if Instant::now() < *next {
            return;
        }
        let left = |end: SystemTime| end.duration_since(self.now()).unwrap_or_default();
        for (what, end) in [
            ("issuer", issuer.not_after()),
            ("root", issuer.root_not_after()),
        ] {
            if left(end) < EXPIRY_NOTICE {
                *next = Instant::now() + NOTICE_INTERVAL;
                let days = left(end).as_secs() / (24 * 60 * 60);
                tracing::warn!(
                    what,
                    days,
                    "the certificate authority expires soon: renew it"
                );
            }
        }
    }
}

#[async_trait]
impl Absent for Authority {
    async fn authority(&self) -> Result<Documents, GenerateError> {
        if let Some(issuer) = self.issuer() {
            tracing::warn!("the stored certificate authority is gone, writing it again");
            return Ok(issuer.documents().clone());
        }
        let source = &self.sources.configured;
        tracing::info!(
            source = source.name(),
            "no certificate authority stored, making one"
        );
        Ok(source.make(self.order()).await?.into_documents())
    }

    fn tokens(&self) -> Result<Option<TokenDocuments>, GenerateError> {
        let Some(settings) = &self.tokens else {
            return Ok(None);
        };
        if let Some(tokens) = self
            .issuer()
            .and_then(|issuer| issuer.documents().tokens.clone())
        {
            tracing::warn!("the stored key of tokens is gone, writing it again");
            return Ok(Some(tokens));
        }
        tracing::info!(algorithm = %settings.algorithm, "no key of tokens stored, generating one");
        Ok(Some(TokenDocuments::generate(settings)?))
    }
}

// === impl Complaints ===

impl Complaints {
    fn load<T>(&mut self, outcome: &Result<T, AuthorityError>) {
        if let Some(error) = changed(&mut self.load, outcome) {
            tracing::error!(error, "certificate authority could not be loaded");
        }
    }

    fn renewal<T>(&mut self, outcome: &Result<T, AuthorityError>) {
        if let Some(error) = changed(&mut self.renewal, outcome) {
            tracing::warn!(error, "the issuer was not renewed");
        }
    }
}

/// What there is to complain about that was not said last.
fn changed<'a, T>(last: &'a mut String, outcome: &Result<T, AuthorityError>) -> Option<&'a str> {
    let text = match outcome {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let is_new = *last != text && !text.is_empty();
    *last = text;
    is_new.then_some(last)
}

#[cfg(test)]
mod tests;
