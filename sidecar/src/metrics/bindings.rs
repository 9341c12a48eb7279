//! Bindings: events that come, and operations that are asked for.

use std::sync::Arc;

use tokio::time::Instant;

use super::definition::{Definition, few, many};
use super::families::Making;
use super::family::{Family, Series};
use super::group::Group;
use super::value::{Counter, Histogram};
use super::{Metrics, elapsed_ms};

/// Label sets that are kept resolved.
const KEPT: usize = 500;

pub(super) static INPUT_COUNT: Definition = Definition::counter(
    "component_input_binding_count",
    "Events that came from input bindings.",
    &[many("component"), few("namespace"), few("success")],
);
pub(super) static INPUT_LATENCY: Definition = Definition::latency(
    "component_input_binding_latencies",
    "Time that the application took for an event, in milliseconds.",
    &[many("component"), few("namespace"), few("success")],
);
pub(super) static OUTPUT_COUNT: Definition = Definition::counter(
    "component_output_binding_count",
    "Operations that were asked of output bindings.",
    &[
        many("component"),
        few("namespace"),
        many("operation"),
        few("success"),
    ],
);
pub(super) static OUTPUT_LATENCY: Definition = Definition::latency(
    "component_output_binding_latencies",
    "Time of an operation of an output binding, in milliseconds.",
    &[
        many("component"),
        few("namespace"),
        many("operation"),
        few("success"),
    ],
);

#[derive(Debug)]
pub(super) struct Bindings {
    input: Side,
    output: Side,
}

/// One direction.
#[derive(Debug)]
struct Side {
    group: Group<Resolved>,
    count: Arc<Family<Counter>>,
    latency: Arc<Family<Histogram>>,
}

#[derive(Debug)]
struct Resolved {
    count: Arc<Series<Counter>>,
    latency: Arc<Series<Histogram>>,
}

impl Bindings {
    pub(super) fn new(making: &mut Making<'_>) -> Self {
        Self {
            input: Side {
                group: Group::new(KEPT),
                count: making.family(&INPUT_COUNT),
                latency: making.family(&INPUT_LATENCY),
            },
            output: Side {
                group: Group::new(KEPT),
                count: making.family(&OUTPUT_COUNT),
                latency: making.family(&OUTPUT_LATENCY),
            },
        }
    }
}

impl Side {
    fn done(&self, labels: &[&str], start: Instant) {
        let series = self.group.get(labels, || Resolved {
            count: self.count.resolve(labels),
            latency: self.latency.resolve(labels),
        });
        series.count.inc();
        series.latency.observe(elapsed_ms(start));
    }
}

/// Counters of bindings.
#[derive(Debug, Clone)]
pub struct BindingMetrics(pub(super) Metrics);

impl BindingMetrics {
    /// Counts an event of this binding that came at `start`.
    pub fn event<T, E>(&self, component: &str, result: &Result<T, E>, start: Instant) {
        let labels = [component, self.0.namespace(), success(result)];
        self.0
            .with(|families| families.bindings.input.done(&labels, start));
    }

    /// Counts an operation of this binding that was asked for at `start`.
    pub fn operation<T, E>(
        &self,
        (component, operation): (&str, &str),
        result: &Result<T, E>,
        start: Instant,
    ) {
        let labels = [component, self.0.namespace(), operation, success(result)];
        self.0
            .with(|families| families.bindings.output.done(&labels, start));
    }
}

fn success<T, E>(result: &Result<T, E>) -> &'static str {
    if result.is_ok() { "true" } else { "false" }
}
