//! Which replica leads, and what follows from it.
//!
//! A source says whether this replica leads; for each term there is a fresh [`Hub`](crate::hub::Hub), and with the term
//! its streams and all it knew are gone. Nothing is handed on: sidecars report anew to the next leader.
//!
//! A leader leads on borrowed time: its [`Tenure`] ends by the clock unless it is extended, and whoever acts on behalf
//! of the leader looks at it before. So a replica that was frozen, or cut off, does not lead when it wakes up.

mod post;
mod terms;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
pub(crate) use post::LEADER_KEY;
pub(crate) use post::Post;
pub(crate) use terms::Terms;

/// What this replica is at the moment, as a source sees it.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// Another leads, or nobody. `leader`: where its sidecars connect, if that is known.
    #[allow(dead_code, reason = "for sources with several replicas")]
    Follower { leader: Option<String> },
    /// This replica, for as long as it lasts.
    Leader(Tenure),
}

/// The time for which this replica leads. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    /// `None`: without end.
    until: Arc<Mutex<Option<Instant>>>,
    over: CancellationToken,
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
            until: Arc::default(),
            over: CancellationToken::new(),
        }
    }

    /// One that ends unless it is extended.
    #[allow(dead_code, reason = "for sources with several replicas")]
    pub(crate) fn until(end: Instant) -> Self {
        let tenure = Self::endless();
        *tenure.until.lock() = Some(end);
        tenure
    }

    /// Lets it last until `end`, unless it is over already.
    #[allow(dead_code, reason = "for sources with several replicas")]
    pub(crate) fn extend(&self, end: Instant) {
        if !self.is_over() {
            *self.until.lock() = Some(end);
        }
    }

    /// Ends it now.
    #[allow(dead_code, reason = "for sources with several replicas")]
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// Whether it has ended. Once it has, it stays so.
    pub(crate) fn is_over(&self) -> bool {
        if !self.over.is_cancelled() && self.until.lock().is_some_and(|end| end <= Instant::now()) {
            self.over.cancel();
        }
        self.over.is_cancelled()
    }

    /// Completes when it has ended.
    pub(crate) async fn ended(&self) {
        while !self.is_over() {
            let until = *self.until.lock();
            match until {
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
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tenure_ends_by_the_clock_unless_it_is_extended() {
        let start = Instant::now();
        let tenure = Tenure::until(start + Duration::from_secs(3));
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
        let tenure = Tenure::until(start + Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(3)).await;
        tenure.extend(start + Duration::from_secs(9));
        assert!(tenure.is_over());
        let given_back = Tenure::endless();
        given_back.end();
        given_back.ended().await;
    }
}
