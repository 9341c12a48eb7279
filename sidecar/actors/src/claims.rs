//! What is under way on the table in force, by actor type, so that a new table can bring it to an end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// How long an operation that was told to end may take to do so. It only has to drop what it holds.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Operations under way. A claim must be taken *before* the routing is read: then a drain, which comes after
/// the new routing is published, finds every operation that read the old one.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    groups: Mutex<HashMap<Arc<str>, Group>>,
}

/// The operations of one type since its last drain.
#[derive(Debug, Default)]
struct Group {
    operations: TaskTracker,
    end: CancellationToken,
}

/// One operation under way.
#[derive(Debug)]
pub(crate) struct Claim {
    end: CancellationToken,
    _operation: TaskTrackerToken,
}

/// Operations that a drain has taken out; dropped, it ends them.
struct Draining {
    operations: TaskTracker,
    end: DropGuard,
}

// === impl Claims ===

impl Claims {
    /// Registers an operation on a type.
    pub(crate) fn claim(&self, actor_type: &str) -> Claim {
        let mut groups = self.groups.lock();
        if let Some(group) = groups.get(actor_type) {
            return group.claim();
        }
        groups.entry(actor_type.into()).or_default().claim()
    }

    /// Waits for the operations of a type that began before, at most `timeout`, then ends the rest.
    ///
    /// # Cancel safety
    /// Dropped, it ends them at once.
    pub(crate) async fn drain(&self, actor_type: &str, timeout: Duration) {
        let Some(group) = self.groups.lock().remove(actor_type) else {
            return;
        };
        let draining = group.drain();
        if tokio::time::timeout(timeout, draining.operations.wait())
            .await
            .is_ok()
        {
            return;
        }
        drop(draining.end);
        if tokio::time::timeout(END_WITHIN, draining.operations.wait())
            .await
            .is_err()
        {
            tracing::warn!(actor_type, "calls of a moved actor type do not end");
        }
    }

    /// Ends all operations that began before and are not being drained.
    pub(crate) fn cut(&self) {
        for (_, group) in self.groups.lock().drain() {
            group.end.cancel();
        }
    }

    /// The types with operations since their last drain.
    pub(crate) fn types(&self) -> Vec<Arc<str>> {
        self.groups.lock().keys().cloned().collect()
    }
}

// === impl Group ===

impl Group {
    fn claim(&self) -> Claim {
        Claim {
            end: self.end.clone(),
            _operation: self.operations.token(),
        }
    }

    fn drain(self) -> Draining {
        self.operations.close();
        Draining {
            operations: self.operations,
            end: self.end.drop_guard(),
        }
    }
}

// === impl Claim ===

impl Claim {
    /// Runs `operation` to its end, or until a drain ends it: then `None`.
    pub(crate) async fn run<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        self.end.run_until_cancelled(operation).await
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc, time::Duration};

    use tokio::time::Instant;

    use super::Claims;

    const GRACE: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_what_ends_in_time() {
        let claims = Arc::new(Claims::default());
        let claim = claims.claim("cat");
        let call = tokio::spawn(async move { claim.run(tokio::time::sleep(GRACE / 2)).await });
        let started = Instant::now();
        claims.drain("cat", GRACE).await;
        assert_eq!(started.elapsed(), GRACE / 2);
        assert_eq!(call.await.unwrap(), Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_what_takes_longer() {
        let claims = Arc::new(Claims::default());
        let claim = claims.claim("cat");
        let call = tokio::spawn(async move { claim.run(pending::<()>()).await });
        let started = Instant::now();
        claims.drain("cat", GRACE).await;
        assert_eq!(started.elapsed(), GRACE);
        assert_eq!(call.await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn other_types_and_later_calls_are_left_alone() {
        let claims = Arc::new(Claims::default());
        let other = claims.claim("dog");
        let moved = claims.claim("cat");
        let draining = tokio::spawn({
            let claims = Arc::clone(&claims);
            async move { claims.drain("cat", GRACE).await }
        });
        tokio::task::yield_now().await;
        let later = claims.claim("cat");
        drop(moved);
        draining.await.unwrap();
        assert_eq!(other.run(async {}).await, Some(()));
        assert_eq!(later.run(async {}).await, Some(()));
    }
}
