//! The current SVID and trust bundle of a process, and who may change them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use crate::{Clock, SpiffeId, Svid, SystemClock, TrustBundle, VerificationError};

/// No SVID arrived in the time that the caller could wait.
#[derive(Debug, thiserror::Error)]
#[error("no identity after {}s", .0.as_secs())]
pub struct NoIdentity(pub Duration);

/// What a process is and whom it trusts, now. Cheap to clone; every clone sees every change.
#[derive(Clone, Debug)]
pub struct Identity {
    svid: watch::Receiver<Option<Arc<Svid>>>,
    bundle: watch::Receiver<Arc<TrustBundle>>,
    clock: Arc<dyn Clock>,
}

/// The writing half of an [`Identity`].
#[derive(Clone, Debug)]
pub struct Publisher {
    svid: Arc<watch::Sender<Option<Arc<Svid>>>>,
    bundle: Arc<watch::Sender<Arc<TrustBundle>>>,
    clock: Arc<dyn Clock>,
}

/// An identity without an SVID, which trusts `bundle`, on the machine's clock.
#[must_use]
pub fn channel(bundle: TrustBundle) -> (Publisher, Identity) {
    Publisher::new(bundle, Arc::new(SystemClock))
}

// === impl Publisher ===

impl Publisher {
    /// As [`channel`], with a clock of the caller's.
    #[must_use]
    pub fn new(bundle: TrustBundle, clock: Arc<dyn Clock>) -> (Self, Identity) {
        let (svid, svid_now) = watch::channel(None);
        let (bundle, bundle_now) = watch::channel(Arc::new(bundle));
        let identity = Identity {
            svid: svid_now,
            bundle: bundle_now,
            clock: Arc::clone(&clock),
        };
        let publisher = Self {
            svid: Arc::new(svid),
            bundle: Arc::new(bundle),
            clock,
        };
        (publisher, identity)
    }

    /// Makes `svid` the current one, if a peer with the same anchors would accept it.
    ///
    /// # Errors
    /// What such a peer would object to; the current SVID stays.
    pub fn publish(&self, svid: Svid) -> Result<Arc<Svid>, VerificationError> {
        let svid = self.check(svid, &self.bundle.borrow())?;
        self.svid.send_replace(Some(Arc::clone(&svid)));
        Ok(svid)
    }

    /// As [`Publisher::publish`], together with a new bundle that the SVID chains to.
    ///
    /// # Errors
    /// As there; neither changes.
    pub fn publish_with(
        &self,
        svid: Svid,
        bundle: TrustBundle,
    ) -> Result<Arc<Svid>, VerificationError> {
        let svid = self.check(svid, &bundle)?;
        // The bundle first: nobody may see an SVID that they would refuse themselves.
        self.publish_bundle(bundle);
        self.svid.send_replace(Some(Arc::clone(&svid)));
        Ok(svid)
    }

    /// Trusts `bundle` from now on. Returns whether it differs from the one before.
    pub fn publish_bundle(&self, bundle: TrustBundle) -> bool {
        self.bundle.send_if_modified(|current| {
            let differs = **current != bundle;
            if differs {
                *current = Arc::new(bundle);
            }
            differs
        })
    }

    /// The current bundle, with changes.
    #[must_use]
    pub fn bundle(&self) -> watch::Receiver<Arc<TrustBundle>> {
        self.bundle.subscribe()
    }

    /// The current SVID.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Svid>> {
        self.svid.borrow().clone()
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn check(&self, svid: Svid, bundle: &TrustBundle) -> Result<Arc<Svid>, VerificationError> {
        svid.verify(bundle, self.clock.now())?;
        Ok(Arc::new(svid))
    }
}

// === impl Identity ===

impl Identity {
    /// The current SVID, with changes. `None` until the first one arrived.
    #[must_use]
    pub fn svid(&self) -> watch::Receiver<Option<Arc<Svid>>> {
        self.svid.clone()
    }

    /// The current trust bundle, with changes.
    #[must_use]
    pub fn bundle(&self) -> watch::Receiver<Arc<TrustBundle>> {
        self.bundle.clone()
    }

    /// Whom the current SVID identifies.
    #[must_use]
    pub fn id(&self) -> Option<SpiffeId> {
        self.svid.borrow().as_ref().map(|svid| svid.id().clone())
    }

    /// The current SVID.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Svid>> {
        self.svid.borrow().clone()
    }

    /// The current trust bundle.
    #[must_use]
    pub fn current_bundle(&self) -> Arc<TrustBundle> {
        Arc::clone(&self.bundle.borrow())
    }

    /// The first SVID, as soon as it is there.
    ///
    /// # Errors
    /// When none came within `limit`, or nobody is left who could publish one.
    pub async fn wait_first(&self, limit: Duration) -> Result<Arc<Svid>, NoIdentity> {
        let mut svid = self.svid.clone();
        let first = tokio::time::timeout(limit, svid.wait_for(Option::is_some)).await;
        match first {
            Ok(Ok(svid)) => svid.clone().ok_or(NoIdentity(limit)),
            Ok(Err(_)) | Err(_) => Err(NoIdentity(limit)),
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }
}
