//! Actors that this sidecar hosts.

use std::sync::Arc;

use super::Metrics;
use super::definition::{Definition, Label, many};
use super::families::Making;
use super::family::Family;
use super::value::{Counter, Gauge};

const TYPE: &[Label] = &[many("actor_type")];

pub(super) static REBALANCED: Definition = Definition::counter(
    "runtime_actor_rebalanced_total",
    "Actors that left this host for another.",
    TYPE,
);
pub(super) static DEACTIVATED: Definition = Definition::counter(
    "runtime_actor_deactivated_total",
    "Actors that the application deactivated.",
    TYPE,
);
pub(super) static DEACTIVATION_FAILED: Definition = Definition::counter(
    "runtime_actor_deactivated_failed_total",
    "Actors that the application failed to deactivate.",
    TYPE,
);
pub(super) static PENDING: Definition = Definition::gauge(
    "runtime_actor_pending_actor_calls",
    "Calls that wait for their actor's turn.",
    TYPE,
);

#[derive(Debug)]
pub(super) struct Actors {
    rebalanced: Arc<Family<Counter>>,
    deactivated: Arc<Family<Counter>>,
    deactivation_failed: Arc<Family<Counter>>,
    pending: Arc<Family<Gauge>>,
}

impl Actors {
    pub(super) fn new(making: &mut Making<'_>) -> Self {
        Self {
            rebalanced: making.family(&REBALANCED),
            deactivated: making.family(&DEACTIVATED),
            deactivation_failed: making.family(&DEACTIVATION_FAILED),
            pending: making.family(&PENDING),
        }
    }
}

/// Counters of actors.
#[derive(Debug, Clone)]
pub struct ActorMetrics(pub(super) Metrics);

impl trilby_actors::Observer for ActorMetrics {
    fn rebalanced(&self, actor_type: &str) {
        self.0.with(|families| {
            families
                .actors
                .rebalanced
                .record(&[actor_type], Counter::inc);
        });
    }

    fn deactivated(&self, actor_type: &str, outcome: Result<(), ()>) {
        self.0.with(|families| {
            let family = match outcome {
                Ok(()) => &families.actors.deactivated,
                Err(()) => &families.actors.deactivation_failed,
            };
            family.record(&[actor_type], Counter::inc);
        });
    }

    fn pending(&self, actor_type: &str, change: i64) {
        self.0.with(|families| {
            families
                .actors
                .pending
                .record(&[actor_type], |pending| pending.add(change));
        });
    }
}
