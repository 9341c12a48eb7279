//! Whether the process may be sent work, and what it waits for.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::sync::watch;
use tracing::{info, warn};

/// The readiness of a process: ready when it has at least one latch and every latch is set. Cheap to clone.
#[derive(Clone)]
pub struct Readiness {
    /// Latch name → why it is not ready; `None` is ready.
    latches: Arc<watch::Sender<BTreeMap<&'static str, Option<String>>>>,
}

/// One thing that must be ready. Dropping it changes nothing: what was last said stays true.
#[derive(Clone, Debug)]
pub struct Latch {
    name: &'static str,
    readiness: Readiness,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            latches: Arc::new(watch::Sender::new(BTreeMap::new())),
        }
    }
}

impl Readiness {
    /// Adds a latch, not ready yet. Two latches of one name are one latch.
    #[must_use]
    pub fn latch(&self, name: &'static str) -> Latch {
        self.latches.send_modify(|latches| {
            latches
                .entry(name)
                .or_insert_with(|| Some("starting".to_owned()));
        });
        Latch {
            name,
            readiness: self.clone(),
        }
    }

    /// What is not ready, each as `name: reason`, in the order of the names.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.latches
            .borrow()
            .iter()
            .filter_map(|(name, reason)| Some(format!("{name}: {}", reason.as_ref()?)))
            .collect()
    }

    /// Whether there is a latch and all of them are set.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        all_set(&self.latches.borrow())
    }

    /// Completes once ready. Cancel safe.
    pub async fn wait_ready(&self) {
        // The sender lives in `self`, so the channel cannot close while we wait.
        drop(self.latches.subscribe().wait_for(all_set).await);
    }

    fn set(&self, name: &'static str, reason: Option<String>) -> bool {
        self.latches.send_if_modified(|latches| {
            let changed = latches.get(name) != Some(&reason);
            latches.insert(name, reason);
            changed
        })
    }
}

fn all_set(latches: &BTreeMap<&'static str, Option<String>>) -> bool {
    !latches.is_empty() && latches.values().all(Option::is_none)
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.missing()).finish()
    }
}

impl Latch {
    /// Says that this part is ready.
    pub fn ready(&self) {
        if self.readiness.set(self.name, None) {
            info!(target: "dapr.health", part = self.name, "ready");
        }
    }

    /// Says that this part is not ready, and why; the reason is what `/healthz` shows.
    pub fn unready(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.readiness.set(self.name, Some(reason.clone())) {
            warn!(target: "dapr.health", part = self.name, reason, "not ready");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn nothing_registered_is_not_ready() {
        assert!(!Readiness::default().is_ready());
    }

    #[test]
    fn every_latch_must_be_set() {
        let readiness = Readiness::default();
        let (cache, api) = (readiness.latch("cache"), readiness.latch("api"));
        cache.ready();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.missing(), ["api: starting"]);
        api.ready();
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_latch_can_be_lost_again_and_says_why() {
        let readiness = Readiness::default();
        let latch = readiness.latch("identity");
        latch.ready();
        latch.unready("certificate expired");
        assert_eq!(readiness.missing(), ["identity: certificate expired"]);
    }

    #[tokio::test]
    async fn waiting_ends_when_the_last_latch_is_set() {
        let readiness = Readiness::default();
        let latch = readiness.latch("cache");
        let waiter = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.wait_ready().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        latch.ready();
        waiter.await.expect("completes");
    }
}
