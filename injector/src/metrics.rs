//! Counters, under upstream's names, and one of ours.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// What the injector counts.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: IntCounter,
    succeeded: IntCounterVec,
    failed: IntCounterVec,
    events_dropped: IntCounterVec,
}

/// Why an Event was not created.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dropped {
    /// Too many waited.
    Queue,
    /// Too many were created a short while ago.
    Rate,
}

/// Why a sidecar was not injected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure {
    /// Not a pod, or not from someone who may.
    NotEligible,
    /// No patch could be made.
    Patch,
    /// The answer could not be written as JSON.
    Response,
}

impl Metrics {
    /// Counters that `registry` serves.
    ///
    /// # Errors
    /// If they are there already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounter::new(
                "dapr_injector_sidecar_injection_requests_total",
                "The total number of sidecar injection requests.",
            )?,
            succeeded: IntCounterVec::new(
                Opts::new(
                    "dapr_injector_sidecar_injection_succeeded_total",
                    "The total number of successful sidecar injections.",
                ),
                &["app_id"],
            )?,
            failed: IntCounterVec::new(
                Opts::new(
                    "dapr_injector_sidecar_injection_failed_total",
                    "The total number of failed sidecar injections.",
                ),
                &["app_id", "reason"],
            )?,
            events_dropped: IntCounterVec::new(
                Opts::new(
                    "dapr_injector_events_dropped_total",
                    "Kubernetes Events that were not created, because too many waited (queue) or were created before (rate).",
                ),
                &["reason"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.succeeded.clone()))?;
        registry.register(Box::new(metrics.failed.clone()))?;
        registry.register(Box::new(metrics.events_dropped.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn not_told(&self, dropped: Dropped) {
        let reason = match dropped {
            Dropped::Queue => "queue",
            Dropped::Rate => "rate",
        };
        self.events_dropped.with_label_values(&[reason]).inc();
    }

    pub(crate) fn requested(&self) {
        self.requests.inc();
    }

    pub(crate) fn succeeded(&self, app_id: &str) {
        self.succeeded.with_label_values(&[app_id]).inc();
    }

    pub(crate) fn failed(&self, app_id: &str, failure: Failure) {
        let reason = match failure {
            Failure::NotEligible => "pod_patch",
            Failure::Patch => "patch",
            Failure::Response => "response",
        };
        self.failed.with_label_values(&[app_id, reason]).inc();
    }
}
