//! What is counted of pods without sidecar. Names of ours: upstream has none for this.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::ledger::Outcome;

/// Handles to both families. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    /// A series for each namespace that has such pods, and each reason.
    pods: IntGaugeVec,
    repairs: IntCounterVec,
}

impl Metrics {
    /// Families that `registry` serves.
    ///
    /// # Errors
    /// If they are there already.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            pods: IntGaugeVec::new(
                Opts::new(
                    "dapr_injector_pods_without_sidecar",
                    "Pods that ask for a sidecar and have none, by the replica that leads.",
                ),
                &["namespace", "reason"],
            )?,
            repairs: IntCounterVec::new(
                Opts::new(
                    "dapr_injector_sidecar_repairs_total",
                    "What became of attempts to have a pod without sidecar made anew.",
                ),
                &["outcome"],
            )?,
        };
        registry.register(Box::new(metrics.pods.clone()))?;
        registry.register(Box::new(metrics.repairs.clone()))?;
        Ok(metrics)
    }

    /// So many pods of the namespace lack their sidecars for this reason now.
    pub(super) fn pods(&self, namespace: &str, reason: &str, number: i64) {
        let labels = [namespace, reason];
        if number == 0 {
            // It may never have been there.
            self.pods.remove_label_values(&labels).ok();
        } else {
            self.pods.with_label_values(&labels).set(number);
        }
    }

    /// This replica does not look any more.
    pub(super) fn forget_pods(&self) {
        self.pods.reset();
    }

    pub(super) fn evicted(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Evicted => "evicted",
            Outcome::Gone => "gone",
            Outcome::Blocked => "blocked",
            Outcome::Failed => "failed",
        };
        self.repairs.with_label_values(&[outcome]).inc();
    }

    /// A repair had no effect.
    pub(super) fn in_vain(&self) {
        self.repairs.with_label_values(&["no_effect"]).inc();
    }
}
