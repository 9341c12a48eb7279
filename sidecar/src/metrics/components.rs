//! Components: their start, and the operations on them.

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
const OPERATION: &[Label] = &[
    many("component"),
    few("namespace"),
    few("operation"),
    few("success"),
];

pub(super) static STARTED: Definition = Definition::counter(
    "runtime_component_init_total",
    "Components that started; component is the type.",
    &[many("component")],
);
pub(super) static FAILED: Definition = Definition::counter(
    "runtime_component_init_fail_total",
    "Components that did not start; component is the type.",
    &[many("component"), many("componentName"), few("reason")],
);
pub(super) static UNUSABLE: Definition = Definition::counter(
    "runtime_resource_load_fail_total",
    "Resources that could not be used as they stand; without a kind: documents that could not be read.",
    &[few("kind")],
);
pub(super) static STATE_COUNT: Definition = Definition::counter(
    "component_state_count",
    "Operations on state stores.",
    OPERATION,
);
pub(super) static STATE_LATENCY: Definition = Definition::latency(
    "component_state_latencies",
    "Time of an operation on a state store, in milliseconds.",
    OPERATION,
);
pub(super) static SECRET_COUNT: Definition = Definition::counter(
    "component_secret_count",
    "Operations on secret stores.",
    OPERATION,
);
pub(super) static SECRET_LATENCY: Definition = Definition::latency(
    "component_secret_latencies",
    "Time of an operation on a secret store, in milliseconds.",
    OPERATION,
);
pub(super) static CRYPTO_COUNT: Definition = Definition::counter(
    "component_crypto_count",
    "Operations on crypto providers.",
    OPERATION,
);
pub(super) static CRYPTO_LATENCY: Definition = Definition::latency(
    "component_crypto_latencies",
    "Time of an operation on a crypto provider, in milliseconds.",
    OPERATION,
);

pub(super) static LOCK_COUNT: Definition = Definition::counter(
    "component_lock_count",
    "Operations on lock stores; a lock that another owner has is no failure.",
    OPERATION,
);
pub(super) static LOCK_LATENCY: Definition = Definition::latency(
    "component_lock_latencies",
    "Time of an operation on a lock store, in milliseconds.",
    OPERATION,
);

pub(super) static CONFIGURATION_COUNT: Definition = Definition::counter(
    "component_configuration_count",
    "Operations on configuration stores.",
    OPERATION,
);
pub(super) static CONFIGURATION_LATENCY: Definition = Definition::latency(
    "component_configuration_latencies",
    "Time of an operation on a configuration store, in milliseconds.",
    OPERATION,
);

/// What is done with a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A state store reads one key.
    StateGet,
    /// A state store writes keys.
    StateSet,
    /// A state store removes one key.
    StateDelete,
    /// A state store reads keys.
    StateBulkGet,
    /// A state store removes keys.
    StateBulkDelete,
    /// A state store does everything or nothing.
    StateTransaction,
    /// A state store answers a query.
    StateQuery,
    /// A secret store reads one secret.
    SecretGet,
    /// A secret store reads all secrets.
    SecretBulkGet,
    /// A lock store gives a lock, or not.
    TryLock,
    /// A lock store ends a lock.
    Unlock,
    /// A configuration store reads items.
    ConfigurationGet,
    /// A configuration store begins to tell changes.
    ConfigurationSubscribe,
    /// A configuration store ends to tell changes.
    ConfigurationUnsubscribe,
    /// A crypto provider shows a public key.
    CryptoGet,
    /// A crypto provider uses a key.
    CryptoUse,
}

/// Why a component did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFailure {
    /// It could not be made: its type is unknown, or its metadata is wrong.
    Creation,
    /// It could not reach what it is about.
    Init,
}

#[derive(Debug)]
pub(super) struct Components {
    started: Arc<Family<Counter>>,
    failed: Arc<Family<Counter>>,
    unusable: Arc<Family<Counter>>,
    state: Block,
    secret: Block,
    lock: Block,
    configuration: Block,
    crypto: Block,
}

/// Operations on the components of one kind.
#[derive(Debug)]
struct Block {
    group: Group<Resolved>,
    count: Arc<Family<Counter>>,
    latency: Arc<Family<Histogram>>,
}

#[derive(Debug)]
struct Resolved {
    count: Arc<Series<Counter>>,
    latency: Arc<Series<Histogram>>,
}

impl Operation {
    fn label(self) -> &'static str {
        match self {
            Self::StateGet | Self::SecretGet | Self::ConfigurationGet | Self::CryptoGet => "get",
            Self::StateSet => "set",
            Self::StateDelete => "delete",
            Self::StateBulkGet | Self::SecretBulkGet => "bulk_get",
            Self::StateBulkDelete => "bulk_delete",
            Self::StateTransaction => "transaction",
            Self::StateQuery => "query",
            Self::TryLock => "try_lock",
            Self::Unlock => "unlock",
            Self::ConfigurationSubscribe => "subscribe",
            Self::ConfigurationUnsubscribe => "unsubscribe",
            Self::CryptoUse => "crypto_op",
        }
    }
}

impl Components {
    pub(super) fn new(making: &mut Making<'_>) -> Self {
        Self {
            started: making.family(&STARTED),
            failed: making.family(&FAILED),
            unusable: making.family(&UNUSABLE),
            state: Block {
                group: Group::new(KEPT),
                count: making.family(&STATE_COUNT),
                latency: making.family(&STATE_LATENCY),
            },
            secret: Block {
                group: Group::new(KEPT),
                count: making.family(&SECRET_COUNT),
                latency: making.family(&SECRET_LATENCY),
            },
            lock: Block {
                group: Group::new(KEPT),
                count: making.family(&LOCK_COUNT),
                latency: making.family(&LOCK_LATENCY),
            },
            configuration: Block {
                group: Group::new(KEPT),
                count: making.family(&CONFIGURATION_COUNT),
                latency: making.family(&CONFIGURATION_LATENCY),
            },
            crypto: Block {
                group: Group::new(KEPT),
                count: making.family(&CRYPTO_COUNT),
                latency: making.family(&CRYPTO_LATENCY),
            },
        }
    }

    fn block(&self, operation: Operation) -> &Block {
        match operation {
            Operation::SecretGet | Operation::SecretBulkGet => &self.secret,
            Operation::TryLock | Operation::Unlock => &self.lock,
            Operation::ConfigurationGet
            | Operation::ConfigurationSubscribe
            | Operation::ConfigurationUnsubscribe => &self.configuration,
            Operation::CryptoGet | Operation::CryptoUse => &self.crypto,
            _ => &self.state,
        }
    }
}

/// Counters of components.
#[derive(Debug, Clone)]
pub struct ComponentMetrics(pub(super) Metrics);

impl ComponentMetrics {
    /// Counts an operation that began at `start`.
    pub fn done<T, E>(
        &self,
        (operation, component): (Operation, &str),
        result: &Result<T, E>,
        start: Instant,
    ) {
        let success = if result.is_ok() { "true" } else { "false" };
        self.0.with(|families| {
            let block = families.components.block(operation);
            let labels = [component, self.0.namespace(), operation.label(), success];
            let series = block.group.get(&labels, || Resolved {
                count: block.count.resolve(&labels),
                latency: block.latency.resolve(&labels),
            });
            series.count.inc();
            series.latency.observe(elapsed_ms(start));
        });
    }

    /// Counts a component of this type that started.
    pub fn started(&self, component_type: &str) {
        self.0.with(|families| {
            families
                .components
                .started
                .record(&[component_type], Counter::inc);
        });
    }

    /// Counts a resource of this kind that cannot be used.
    pub fn unusable(&self, kind: &str) {
        self.0
            .with(|families| families.components.unusable.record(&[kind], Counter::inc));
    }

    /// Counts a component of this type and name that did not start.
    pub fn failed(&self, component_type: &str, name: &str, failure: StartFailure) {
        let reason = match failure {
            StartFailure::Creation => "creation",
            StartFailure::Init => "init",
        };
        self.0.with(|families| {
            families
                .components
                .failed
                .record(&[component_type, name, reason], Counter::inc);
        });
    }
}
