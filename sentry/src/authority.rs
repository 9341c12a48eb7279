//! The issuer in use: loaded from the store, looked at again and again, replaced when it changed, renewed in time.
//!
//! A set of documents that is no authority never replaces one that is: it is logged, and the old
//! issuer goes on signing. The process is ready as long as it has an issuer that has not expired.
//!
//! When two thirds of the issuer's life are over, and its root's key is kept here, the root signs another. Whichever
//! replica is first writes it, in the place of exactly the one that it replaces; the others find it there. The root
//! itself is replaced in [steps](crate::rotation), in the same way.

mod leaves;
mod own;
mod rotate;

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
    rotation::{Evidence, Orders, Record, decision::poll, transition::keep_bridge},
    source::{Order, SELF_SIGNED, SourceError, Sources},
    store::{Absent, GenerateError, Loaded, Replaced, Store, StoreError},
    surroundings::{News, Surroundings, Tone},
    tokens::{TokenDocuments, TokenSettings},
};
pub(crate) use leaves::Leaves;
pub(crate) use own::{OwnObserver, OwnSigner};
use rotate::Rotator;

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
    /// Whom to tell, and who is to be thought of.
    pub(crate) surroundings: Surroundings,
    /// Who trusts the next root, while one comes.
    pub(crate) evidence: Evidence,
    /// For how long anything may be signed, and when what was signed here ends.
    pub(crate) leaves: Leaves,
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

/// How soon after a step of a rotation the next one is thought about.
const NEXT_STEP: Duration = Duration::from_millis(250);

/// What is remembered between two looks at the store.
struct Keeper {
    backoff: Backoff,
    complaints: Complaints,
    next_notice: Instant,
    orders: Orders,
    rotator: Rotator,
}

/// What is logged once for as long as it stays the same.
#[derive(Default)]
struct Complaints {
    load: String,
    renewal: String,
    life: String,
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
        let mut validity = *self.validity.borrow();
        validity.ttl = validity.ttl.min(self.leaves.longest_life());
        (self.now(), validity)
    }

    /// Takes what is stored into use; returns it if it is new. Without anything stored, what is in
    /// use is stored again, and at the very first a new authority is.
    pub(crate) async fn refresh(&self) -> Result<Option<Arc<Issuer>>, AuthorityError> {
        let loaded = self.store.load(self).await?;
        self.take(loaded.documents).await
    }

    /// Takes documents into use that were read from the store; returns the issuer if it is new.
    async fn take(&self, documents: Documents) -> Result<Option<Arc<Issuer>>, AuthorityError> {
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
        let bridged = keep_bridge(&renewed.issuer_chain_pem, documents);
        let renewed = Documents {
            tokens: documents.tokens.clone(),
            rotation: documents.rotation.clone(),
            ..renewed.into_documents()
        };
        let issuer = match bridged {
            Some(issuer) => self.prove(Documents { issuer, ..renewed })?,
            None => self.prove(renewed)?,
        };
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
        let before = self.current.send_replace(Some(Arc::clone(&issuer)));
        // A step of a rotation may change nothing but what is prepared.
        if before.is_none_or(|before| !before.is_same_to_peers(&issuer)) {
            self.metrics.issuer_in_use(expiry, root_expiry);
            tracing::info!(expiry, root_expiry, anchors, "certificate authority in use");
        }
        issuer
    }

    /// Refreshes for ever, and hands new anchors to `publisher`.
    ///
    /// # Cancel safety
    /// May be dropped at any await.
    pub(crate) async fn keep(&self, publisher: Publisher, latch: Latch) -> Infallible {
        let mut keeper = Keeper::new();
        if let Some(issuer) = self.issuer() {
            publisher.publish_bundle(issuer.anchors().clone());
        }
        loop {
            let pause = keeper.round(self, &publisher).await;
            self.report(&latch, &keeper.complaints.load);
            self.notice_expiry(&mut keeper.next_notice);
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
        let mut made = source.make(self.order()).await?.into_documents();
        tracing::info!(
            source = source.name(),
            "no certificate authority stored, made one"
        );
        // What is made here shows that by its names.
        let source = Some(source.name()).filter(|name| *name != SELF_SIGNED);
        let ttl = self.validity.borrow().ttl;
        made.rotation.record = Record::of_new(source, ttl).map(|record| record.write());
        Ok(made)
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

// === impl Keeper ===

impl Keeper {
    fn new() -> Self {
        Self {
            backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(5)),
            complaints: Complaints::default(),
            next_notice: Instant::now(),
            orders: Orders::default(),
            rotator: Rotator::new(),
        }
    }

    /// Looks at everything once; returns how long to wait before the next time.
    async fn round(&mut self, authority: &Authority, publisher: &Publisher) -> Duration {
        let loaded = self.load(authority).await;
        authority.metrics.stored_authority_usable(loaded.is_ok());
        self.complaints.load(&loaded);
        let usable = loaded.is_ok();
        let noted = match usable {
            true => authority.note_life().await.map_err(AuthorityError::from),
            false => Ok(None),
        };
        self.complaints.life(&noted);
        let renewed = authority.renew_in_time().await;
        self.complaints.renewal(&renewed);
        let rotated = match usable {
            true => self.rotator.step(authority, &self.orders).await,
            // Whatever is stored now, it is not what a step would be decided on.
            false => None,
        };
        let stepped = rotated.is_some();
        for issuer in [loaded.ok(), renewed.ok(), Some(rotated)]
            .into_iter()
            .flatten()
            .flatten()
        {
            publisher.publish_bundle(issuer.anchors().clone());
        }
        self.rotator.report(authority, &self.complaints.load).await;
        match (usable, stepped) {
            (false, _) => self.backoff.pause(),
            (true, true) => NEXT_STEP,
            (true, false) => {
                self.backoff.reset();
                poll(authority.moment().1.ttl)
            }
        }
    }

    async fn load(&mut self, authority: &Authority) -> Result<Option<Arc<Issuer>>, AuthorityError> {
        let Loaded {
            documents,
            orders,
            repaired,
        } = authority.store.load(authority).await?;
        self.orders = orders;
        if let Some(text) = repaired {
            let news = News {
                reason: "Repaired",
                text,
                tone: Tone::Warning,
            };
            self.rotator.tell(authority, news).await;
        }
        authority.take(documents).await
    }
}

// === impl Complaints ===

impl Complaints {
    fn load<T>(&mut self, outcome: &Result<T, AuthorityError>) {
        if let Some(error) = changed(&mut self.load, outcome) {
            tracing::error!(error, "certificate authority could not be loaded");
        }
    }

    fn life<T>(&mut self, outcome: &Result<T, AuthorityError>) {
        if let Some(error) = changed(&mut self.life, outcome) {
            tracing::warn!(
                error,
                "for how long certificates are given is not stored, a rotation after a restart may not wait for them"
            );
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
