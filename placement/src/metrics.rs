//! What can be observed from outside.

mod leadership;

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

pub(crate) use leadership::LeaderMetrics;

/// The service's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    runtimes: IntGaugeVec,
    actor_runtimes: IntGaugeVec,
    leadership: LeaderMetrics,
    rounds: IntCounterVec,
    timeouts: IntCounterVec,
    durations: HistogramVec,
    foreign_addresses: IntCounterVec,
}

/// Every series of a namespace has this label. Namespaces are as many as the cluster has.
const LABELS: &[&str] = &["host_namespace"];

/// From a round among a few idle hosts to one that waits for the longest drain.
const ROUND_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

// === impl Metrics ===

impl Metrics {
    /// Registers all families.
    ///
    /// # Errors
    /// One is registered already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), LABELS)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let counter = |name: &str, help: &str| {
            let family = IntCounterVec::new(Opts::new(name, help), LABELS)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let histogram = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(ROUND_SECONDS.to_vec());
            let family = HistogramVec::new(options, LABELS)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        Ok(Self {
            runtimes: gauge(
                "dapr_placement_runtimes_total",
                "Sidecars that are connected",
            )?,
            actor_runtimes: gauge(
                "dapr_placement_actor_runtimes_total",
                "Connected sidecars that hosted actors when they connected",
            )?,
            leadership: LeaderMetrics::register(registry)?,
            rounds: counter(
                "dapr_placement_rounds_total",
                "Rounds of dissemination that began",
            )?,
            timeouts: counter(
                "dapr_placement_round_timeouts_total",
                "Sidecars disconnected because they held up a round",
            )?,
            durations: histogram(
                "dapr_placement_round_duration_seconds",
                "How long rounds of dissemination took, from the first order to the last acknowledgement",
            )?,
            foreign_addresses: counter(
                "dapr_placement_foreign_addresses_total",
                "Hosts that reported an address which they do not call from",
            )?,
        })
    }

    /// Those of leadership.
    pub(crate) fn leadership(&self) -> &LeaderMetrics {
        &self.leadership
    }

    pub(crate) fn connected(&self, namespace: &str, actor_host: bool) {
        self.runtimes.with_label_values(&[namespace]).inc();
        let hosts = self.actor_runtimes.with_label_values(&[namespace]);
        hosts.add(i64::from(actor_host));
    }

    pub(crate) fn disconnected(&self, namespace: &str, actor_host: bool) {
        self.runtimes.with_label_values(&[namespace]).dec();
        self.actor_runtimes
            .with_label_values(&[namespace])
            .sub(i64::from(actor_host));
    }

    pub(crate) fn round_began(&self, namespace: &str) {
        self.rounds.with_label_values(&[namespace]).inc();
    }

    pub(crate) fn round_ended(&self, namespace: &str, took: Duration) {
        let durations = self.durations.with_label_values(&[namespace]);
        durations.observe(took.as_secs_f64());
    }

    pub(crate) fn foreign_address(&self, namespace: &str) {
        self.foreign_addresses.with_label_values(&[namespace]).inc();
    }

    pub(crate) fn timed_out(&self, namespace: &str) {
        self.timeouts.with_label_values(&[namespace]).inc();
    }
}
