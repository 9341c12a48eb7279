//! The operator's metrics.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::{
    drift::{Effect, Verdict},
    resource::Kind,
};

/// Handles to every metric family of the operator. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub services: ServiceCounters,
    undecodable: IntCounterVec,
    streams: IntGaugeVec,
    pub unresolved_secrets: IntGauge,
    pub leader: IntGauge,
    pub reporting_sidecars: IntGauge,
    status_writes: IntCounterVec,
    watchdog: IntCounterVec,
    drift: IntGaugeVec,
    definitions: IntGaugeVec,
    refused: IntCounterVec,
    validations: IntCounterVec,
}

/// What the watchdog did about a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchdogOutcome {
    /// Deleted it.
    Deleted,
    /// Labelled it: it has a sidecar.
    Labelled,
    /// Nothing: it has no sidecar, and nobody would make it anew.
    Unowned,
    /// Nothing, for an error.
    Failed,
}

/// What was done about the apps' Services, by app id.
#[derive(Clone)]
pub(crate) struct ServiceCounters {
    pub created: IntCounterVec,
    pub updated: IntCounterVec,
    pub deleted: IntCounterVec,
}

impl ServiceCounters {
    fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let counter = |done: &str, help| {
            let name = format!("dapr_operator_service_{done}_total");
            families.counters(&name, help, &["app_id"])
        };
        Ok(Self {
            created: counter("created", "Services created for apps.")?,
            updated: counter("updated", "Services of apps updated.")?,
            deleted: counter(
                "deleted",
                "Services deleted because their workload needs them no more.",
            )?,
        })
    }
}

/// Makes families and registers them.
struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let families = Families(registry);
        let counter = |name: &str, help: &str, label: &str| families.counters(name, help, &[label]);
        let gauge = |name: &str, help: &str| families.gauge(name, help);
        Ok(Self {
            services: ServiceCounters::register(&families)?,
            undecodable: counter(
                "dapr_operator_undecodable_objects_total",
                "Objects skipped because they could not be decoded.",
                "kind",
            )?,
            streams: families.gauges(
                "dapr_operator_streams",
                "Update streams that sidecars hold open.",
                &["kind"],
            )?,
            drift: families.gauges(
                "dapr_operator_crd_drift",
                "Differences between a definition in the cluster and the operator's, by their effect.",
                &["definition", "effect"],
            )?,
            definitions: families.gauges(
                "dapr_operator_definition_upgrade",
                "How a definition stands that the operator may upgrade: 1 for its state.",
                &["definition", "state"],
            )?,
            unresolved_secrets: gauge(
                "dapr_operator_unresolved_secrets",
                "Secrets that resources refer to and that could not be read.",
            )?,
            leader: gauge(
                "dapr_operator_leader",
                "Whether this replica does the leader's work: 1, or 0.",
            )?,
            reporting_sidecars: gauge(
                "dapr_operator_reporting_sidecars",
                "Sidecars that tell this replica what became of resources.",
            )?,
            status_writes: families.counters(
                "dapr_operator_status_writes_total",
                "Looks at the status of a resource, by how they ended.",
                &["kind", "outcome"],
            )?,
            watchdog: counter(
                "dapr_operator_watchdog_pods_total",
                "Pods that the watchdog did something about, or could not.",
                "outcome",
            )?,
            refused: counter(
                "dapr_operator_refused_requests_total",
                "Requests of callers for what is not their own.",
                "method",
            )?,
            validations: families.counters(
                "dapr_operator_validations_total",
                "Reviews of resources that are applied, by how they ended.",
                &["kind", "outcome"],
            )?,
        })
    }

    pub(crate) fn undecodable(&self, kind: Kind) {
        self.undecodable.with_label_values(&[kind.name()]).inc();
    }

    pub(crate) fn refused(&self, method: &'static str) {
        self.refused.with_label_values(&[method]).inc();
    }

    pub(crate) fn watchdog(&self, outcome: WatchdogOutcome) {
        let label = match outcome {
            WatchdogOutcome::Deleted => "deleted",
            WatchdogOutcome::Labelled => "labelled",
            WatchdogOutcome::Unowned => "unowned",
            WatchdogOutcome::Failed => "failed",
        };
        self.watchdog.with_label_values(&[label]).inc();
    }

    pub(crate) fn drift(&self, definition: &str, effect: Effect, differences: usize) {
        let gauge = self.drift.with_label_values(&[definition, effect.label()]);
        gauge.set(i64::try_from(differences).unwrap_or(i64::MAX));
    }

    pub(crate) fn definition(&self, definition: &str, verdict: &Verdict) {
        for state in Verdict::STATES {
            let gauge = self.definitions.with_label_values(&[definition, state]);
            gauge.set(i64::from(state == verdict.state()));
        }
    }

    pub(crate) fn status_write(&self, kind: Kind, outcome: &str) {
        let counter = self
            .status_writes
            .with_label_values(&[kind.name(), outcome]);
        counter.inc();
    }

    pub(crate) fn validation(&self, kind: Kind, outcome: &str) {
        let counter = self.validations.with_label_values(&[kind.name(), outcome]);
        counter.inc();
    }

    /// Counts a stream until the guard is dropped.
    pub(crate) fn stream(&self, kind: &str) -> StreamGuard {
        let gauge = self.streams.with_label_values(&[kind]);
        gauge.inc();
        StreamGuard(gauge)
    }
}

/// One open stream.
pub(crate) struct StreamGuard(IntGauge);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
