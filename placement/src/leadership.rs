//! Which replica leads, and what follows from it.
//!
//! A source says whether this replica leads; for each term there is a fresh [`Hub`](crate::hub::Hub), and with the term
//! its streams and all it knew are gone. Nothing is handed on: sidecars report anew to the next leader.
//!
//! A leader leads on borrowed time: its [`Tenure`] ends by the clock unless it is extended, and whoever acts on behalf
//! of the leader looks at it before. So a replica that was frozen, or cut off, does not lead when it wakes up.

mod cluster;
mod lease;
mod post;
mod raft;
mod terms;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

pub use cluster::{Cluster, ClusterError, Member};
pub(crate) use lease::{LeaseConfig, LeaseElector};
#[cfg(test)]
pub(crate) use post::LEADER_KEY;
pub(crate) use post::Post;
pub(crate) use raft::{Elector, KeptTerm, PeerTls, Peers, RaftConfig};
pub(crate) use terms::Terms;

/// What this replica is at the moment, as a source sees it.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// Another leads, or nobody. `leader`: where its sidecars connect, if that is known.
    Follower { leader: Option<String> },
    /// This replica, for as long as it lasts.
    Leader(Tenure),
}

/// The time for which this replica leads. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    /// `None`: without end.
    lease: Option<Arc<Mutex<Lease>>>,
    over: CancellationToken,
}

#[derive(Debug)]
struct Lease {
    until: Instant,
    lasts: Duration,
}

/// Where roles come from, and the way to give leadership back.
#[derive(Debug)]
pub(crate) struct Source {
    pub roles: watch::Receiver<Role>,
    /// Cancelled when this replica serves nobody any more and others may lead at once.
    pub resign: CancellationToken,
}

// === impl Tenure ===

impl Tenure {
    /// One that nobody contests.
    pub(crate) fn endless() -> Self {
        Self {
            lease: None,
            over: CancellationToken::new(),
        }
    }

    /// One that ends then unless it is extended; each extension counts from a moment at which nobody contested it, and
    /// `lasts` so long from there.
    pub(crate) fn lasting(until: Instant, lasts: Duration) -> Self {
        let lease = Lease { until, lasts };
        Self {
            lease: Some(Arc::new(Mutex::new(lease))),
            over: CancellationToken::new(),
        }
    }

    /// Lets it last until `end`, unless it is over already.
    pub(crate) fn extend(&self, end: Instant) {
        if let Some(lease) = self.lease.as_ref().filter(|_| !self.is_over()) {
            lease.lock().until = end;
        }
    }

    /// Ends it now.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// Whether it has ended. Once it has, it stays so.
    pub(crate) fn is_over(&self) -> bool {
        if !self.over.is_cancelled() && self.until().is_some_and(|end| end <= Instant::now()) {
            self.over.cancel();
        }
        self.over.is_cancelled()
    }

    /// Whether it was uncontested so short a time ago that a sidecar may be promised a whole lease from now on: the next
    /// leader begins a lease and a sixth after the last such moment.
    pub(crate) fn vouches(&self) -> bool {
        let Some(lease) = &self.lease else {
            return true;
        };
        let Lease { until, lasts } = *lease.lock();
        // One eighth, not one sixth: clocks differ.
        !self.is_over() && Instant::now() + lasts <= until + lasts / 8
    }

    /// Completes when it has ended.
    pub(crate) async fn ended(&self) {
        while !self.is_over() {
            match self.until() {
                Some(end) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(end) => {}
                        () = self.over.cancelled() => {}
                    }
                }
                None => self.over.cancelled().await,
            }
        }
    }

    fn until(&self) -> Option<Instant> {
        self.lease.as_ref().map(|lease| lease.lock().until)
    }
}

// === impl Source ===

impl Source {
    /// The only replica, which leads from its start to its end.
    pub(crate) fn single() -> Self {
        let (_, roles) = watch::channel(Role::Leader(Tenure::endless()));
        Self {
            roles,
            resign: CancellationToken::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn tenure_ends_by_the_clock_unless_it_is_extended() {
        let start = Instant::now();
        let tenure = Tenure::lasting(start + LEASE, LEASE);
        tokio::time::advance(Duration::from_secs(2)).await;
        tenure.extend(start + Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!tenure.is_over());
        tenure.ended().await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn tenure_that_is_over_cannot_be_extended() {
        let start = Instant::now();
        let tenure = Tenure::lasting(start + LEASE, LEASE);
        tokio::time::advance(Duration::from_secs(3)).await;
        tenure.extend(start + Duration::from_secs(9));
        assert!(tenure.is_over());
        let given_back = Tenure::endless();
        given_back.end();
        given_back.ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn leader_vouches_only_while_it_has_just_heard_from_the_others() {
        let tenure = Tenure::lasting(Instant::now() + LEASE, LEASE);
        tokio::time::advance(LEASE / 8).await;
        assert!(tenure.vouches());
        tokio::time::advance(LEASE / 100).await;
        assert!(!tenure.vouches() && !tenure.is_over());
        tenure.extend(Instant::now() + LEASE);
        assert!(tenure.vouches());
        assert!(Tenure::endless().vouches());
    }
}
