//! Messages, on their way to brokers and from them.

use std::sync::Arc;

use tokio::time::Instant;

use super::definition::{Definition, Label, few, many};
use super::families::Making;
use super::family::{Family, Series};
use super::group::Group;
use super::value::{Counter, Histogram};
use super::{Metrics, elapsed_ms};

/// Label sets that are kept resolved.
const KEPT: usize = 500;
const EGRESS: &[Label] = &[
    many("component"),
    few("namespace"),
    few("success"),
    many("topic"),
];
const INGRESS: &[Label] = &[
    many("component"),
    few("namespace"),
    few("process_status"),
    few("status"),
    many("topic"),
];
const BULK_INGRESS: &[Label] = &[many("component"), few("namespace"), many("topic")];
const BULK_INGRESS_EVENTS: &[Label] = &[
    many("component"),
    few("namespace"),
    few("process_status"),
    many("topic"),
];

pub(super) static EGRESS_COUNT: Definition = Definition::counter(
    "component_pubsub_egress_count",
    "Messages that the application published.",
    EGRESS,
);
pub(super) static EGRESS_LATENCY: Definition = Definition::latency(
    "component_pubsub_egress_latencies",
    "Time until a broker had a message, in milliseconds.",
    EGRESS,
);
pub(super) static BULK_EGRESS_COUNT: Definition = Definition::counter(
    "component_pubsub_egress_bulk_count",
    "Bulk publications of the application.",
    EGRESS,
);
pub(super) static BULK_EGRESS_EVENTS: Definition = Definition::counter(
    "component_pubsub_egress_bulk_event_count",
    "Messages that the application published in bulk.",
    EGRESS,
);
pub(super) static BULK_EGRESS_LATENCY: Definition = Definition::latency(
    "component_pubsub_egress_bulk_latencies",
    "Time until a broker had the messages of a bulk publication, in milliseconds.",
    EGRESS,
);
pub(super) static INGRESS_COUNT: Definition = Definition::counter(
    "component_pubsub_ingress_count",
    "Messages that came from brokers, by what became of them.",
    INGRESS,
);
pub(super) static INGRESS_LATENCY: Definition = Definition::latency(
    "component_pubsub_ingress_latencies",
    "Time that the application took for a message, in milliseconds.",
    INGRESS,
);
pub(super) static BULK_INGRESS_COUNT: Definition = Definition::counter(
    "component_pubsub_ingress_bulk_count",
    "Batches of messages that came from brokers.",
    BULK_INGRESS,
);
pub(super) static BULK_INGRESS_EVENT_COUNT: Definition = Definition::counter(
    "component_pubsub_ingress_bulk_event_count",
    "Messages that came from brokers in batches, by what became of them.",
    BULK_INGRESS_EVENTS,
);
pub(super) static BULK_INGRESS_LATENCY: Definition = Definition::latency(
    "component_pubsub_ingress_bulk_latencies",
    "Time that the application took for a batch of messages, in milliseconds.",
    BULK_INGRESS,
);

/// What became of a message that came from a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processed {
    /// The application took it.
    Success,
    /// It comes again.
    Retry,
    /// It was dropped for a reason of its own: it expired, or the application is not there for it.
    Drop,
    /// The application, or its subscription, did not want it.
    Unwanted,
}

#[derive(Debug)]
pub(super) struct PubSub {
    egress: Pair,
    ingress: Pair,
    bulk_egress: Pair,
    bulk_egress_events: Arc<Family<Counter>>,
    bulk_ingress: Pair,
    bulk_ingress_events: Arc<Family<Counter>>,
}

/// A count and a latency with the same labels.
#[derive(Debug)]
struct Pair {
    group: Group<Resolved>,
    count: Arc<Family<Counter>>,
    latency: Arc<Family<Histogram>>,
}

#[derive(Debug)]
struct Resolved {
    count: Arc<Series<Counter>>,
    latency: Arc<Series<Histogram>>,
}

impl Processed {
    /// Upstream's `process_status` and `status`.
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Success => ("success", ""),
            Self::Retry => ("retry", ""),
            Self::Drop => ("drop", ""),
            Self::Unwanted => ("drop", "success"),
        }
    }
}

impl Pair {
    fn new(
        making: &mut Making<'_>,
        (count, latency): (&'static Definition, &'static Definition),
    ) -> Self {
        Self {
            group: Group::new(KEPT),
            count: making.family(count),
            latency: making.family(latency),
        }
    }

    fn record(&self, labels: &[&str], start: Option<Instant>) {
        let series = self.group.get(labels, || Resolved {
            count: self.count.resolve(labels),
            latency: self.latency.resolve(labels),
        });
        series.count.inc();
        if let Some(start) = start {
            series.latency.observe(elapsed_ms(start));
        }
    }
}

impl PubSub {
    pub(super) fn new(making: &mut Making<'_>) -> Self {
        Self {
            egress: Pair::new(making, (&EGRESS_COUNT, &EGRESS_LATENCY)),
            ingress: Pair::new(making, (&INGRESS_COUNT, &INGRESS_LATENCY)),
            bulk_egress: Pair::new(making, (&BULK_EGRESS_COUNT, &BULK_EGRESS_LATENCY)),
            bulk_egress_events: making.family(&BULK_EGRESS_EVENTS),
            bulk_ingress: Pair::new(making, (&BULK_INGRESS_COUNT, &BULK_INGRESS_LATENCY)),
            bulk_ingress_events: making.family(&BULK_INGRESS_EVENT_COUNT),
        }
    }
}

/// Counters of messages.
#[derive(Debug, Clone)]
pub struct PubSubMetrics(pub(super) Metrics);

impl PubSubMetrics {
    /// Counts a publication that began at `start`.
    pub fn published(&self, (component, topic): (&str, &str), success: bool, start: Instant) {
        self.0.with(|families| {
            let labels = [component, self.0.namespace(), yes(success), topic];
            families.pubsub.egress.record(&labels, Some(start));
        });
    }

    /// Counts a bulk publication that began at `start`; so many of its messages the broker has.
    pub fn published_bulk(
        &self,
        (component, topic): (&str, &str),
        (success, messages): (bool, usize),
        start: Instant,
    ) {
        self.0.with(|families| {
            let labels = [component, self.0.namespace(), yes(success), topic];
            families.pubsub.bulk_egress.record(&labels, Some(start));
            let labels = [component, self.0.namespace(), yes(true), topic];
            families
                .pubsub
                .bulk_egress_events
                .record(&labels, |count| count.add(messages as u64));
        });
    }

    /// Counts a message from a broker; the application had it since `start`, if it had it at all.
    pub fn processed(
        &self,
        (component, topic): (&str, &str),
        processed: Processed,
        start: Option<Instant>,
    ) {
        self.0.with(|families| {
            let (process, status) = processed.labels();
            let labels = [component, self.0.namespace(), process, status, topic];
            families.pubsub.ingress.record(&labels, start);
        });
    }

    /// Counts a batch that the application had since `start`.
    pub fn processed_batch(&self, (component, topic): (&str, &str), start: Instant) {
        self.0.with(|families| {
            let labels = [component, self.0.namespace(), topic];
            families.pubsub.bulk_ingress.record(&labels, Some(start));
        });
    }

    /// Counts messages of a batch.
    pub fn processed_in_batch(
        &self,
        (component, topic): (&str, &str),
        processed: Processed,
        messages: usize,
    ) {
        self.0.with(|families| {
            let (process, _) = processed.labels();
            let labels = [component, self.0.namespace(), process, topic];
            families
                .pubsub
                .bulk_ingress_events
                .record(&labels, |count| count.add(messages as u64));
        });
    }
}

fn yes(success: bool) -> &'static str {
    if success { "true" } else { "false" }
}
