//! Resiliency policies: loaded, run, and what they did.

use std::sync::Arc;

use super::Metrics;
use super::definition::{Definition, Label, few, many};
use super::families::Making;
use super::family::Family;
use super::value::{Counter, Gauge};

const POLICY: &[Label] = &[
    few("flow_direction"),
    many("name"),
    few("namespace"),
    few("policy"),
    few("status"),
    many("target"),
];

pub(super) static LOADED: Definition = Definition::counter(
    "resiliency_loaded",
    "Resiliency resources that were loaded.",
    &[many("name"), few("namespace")],
);
pub(super) static COUNT: Definition =
    Definition::counter("resiliency_count", "Runs of a policy.", POLICY);
pub(super) static ACTIVATIONS: Definition = Definition::counter(
    "resiliency_activations_total",
    "Times that a policy did something: a retry, a timeout, a circuit breaker that changed.",
    POLICY,
);
pub(super) static BREAKER: Definition = Definition::gauge(
    "resiliency_cb_state",
    "Circuit breakers: 1 in the series of the state that one was last seen in, 0 in the others.",
    POLICY,
);

/// How circuit breakers are named among policies.
const BREAKER_POLICY: &str = "circuitbreaker";
/// The states of a circuit breaker.
const STATES: [&str; 4] = ["closed", "half-open", "open", "unknown"];

#[derive(Debug)]
pub(super) struct Resiliency {
    loaded: Arc<Family<Counter>>,
    count: Arc<Family<Counter>>,
    activations: Arc<Family<Counter>>,
    breaker: Arc<Family<Gauge>>,
}

impl Resiliency {
    pub(super) fn new(making: &mut Making<'_>) -> Self {
        Self {
            loaded: making.family(&LOADED),
            count: making.family(&COUNT),
            activations: making.family(&ACTIVATIONS),
            breaker: making.family(&BREAKER),
        }
    }
}

impl Resiliency {
    fn show_state(&self, policy: &PolicyLabels<'_>) {
        if policy.policy != BREAKER_POLICY {
            return;
        }
        for state in STATES {
            let value = i64::from(state == policy.status);
            let labels = policy.with_status(state);
            self.breaker.record(&labels, |breaker| breaker.set(value));
        }
    }
}

/// One policy of a resource, as metrics name it.
#[derive(Debug, Clone, Copy)]
pub struct PolicyLabels<'a> {
    /// The resource.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// `retry`, `timeout` or `circuitbreaker`.
    pub policy: &'a str,
    /// `inbound` or `outbound`.
    pub flow_direction: &'a str,
    /// What it protects: `app_<id>`, `actor_<type>`, `<component type>_<name>`.
    pub target: &'a str,
    /// A circuit breaker's state: `closed`, `half-open`, `open`; else empty.
    pub status: &'a str,
}

impl<'a> PolicyLabels<'a> {
    fn with_status(&self, status: &'a str) -> [&'a str; 6] {
        [
            self.flow_direction,
            self.name,
            self.namespace,
            self.policy,
            status,
            self.target,
        ]
    }
}

/// Counters of resiliency policies.
#[derive(Debug, Clone)]
pub struct ResiliencyMetrics(pub(super) Metrics);

impl ResiliencyMetrics {
    /// Counts a resource that was loaded.
    pub fn loaded(&self, name: &str, namespace: &str) {
        self.0.with(|families| {
            families
                .resiliency
                .loaded
                .record(&[name, namespace], Counter::inc);
        });
    }

    /// Counts the run of a policy. A circuit breaker's state is shown as well.
    pub fn executed(&self, policy: &PolicyLabels<'_>) {
        self.0.with(|families| {
            let families = &families.resiliency;
            let labels = policy.with_status(policy.status);
            families.count.record(&labels, Counter::inc);
            families.show_state(policy);
        });
    }

    /// Counts that a policy did something. A circuit breaker that changed is shown in its new state at once.
    pub fn activated(&self, policy: &PolicyLabels<'_>) {
        self.0.with(|families| {
            let families = &families.resiliency;
            let labels = policy.with_status(policy.status);
            families.activations.record(&labels, Counter::inc);
            families.show_state(policy);
        });
    }
}
