//! The bindings block.
//!
//! ```text
//! application ─▶ API ─▶ Bindings::invoke ─▶ output binding
//! input binding ─▶ Delivery ─▶ application ─▶ (what its answer asks for) ─▶ Bindings::invoke
//! ```
//!
//! [`Readings`] decides which input bindings are read, [`Discovery`] whether the application wants one. The task that reads
//! them is wired in `app`.
//!
//! Deliberately absent: the states that an application's answer may name, which upstream does not save either.

mod answer;
mod delivery;
mod discovery;
mod readings;

use http::StatusCode;
use tokio::time::Instant;
use tonic::Code;
use trilby_components::RequestMetadata;
use trilby_components::binding::{BindingError, Invocation, Reply};
use trilby_resiliency::{ComponentKind, Direction, Resiliency};
use trilby_resources::{BindingComponent, Lookup, Resources};

use super::guarded::{Request, guarded};
use crate::error::ApiError;
use crate::metrics::{BindingMetrics, Metrics};

pub use delivery::Delivery;
pub use discovery::Discovery;
pub use readings::{Action, Readings};

/// Bindings as an application sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bindings {
    resources: Resources,
    resiliency: Resiliency,
    metrics: BindingMetrics,
}

/// An operation that was not done.
#[derive(Debug, Clone)]
pub struct Failed {
    /// What the API answers.
    pub error: ApiError,
    /// What the system said beside.
    pub metadata: RequestMetadata,
}

/// Why an operation was not done.
#[derive(Debug, Clone, thiserror::Error)]
enum NotDone {
    #[error("operation field is missing from request")]
    NoOperation,
    #[error("couldn't find output binding {0}")]
    NotFound(String),
    #[error("couldn't find output binding {name}: it did not start: {why}")]
    NotStarted { name: String, why: String },
    #[error(
        "binding {name} does not support operation {operation}. supported operations:{supported}"
    )]
    NotSupported {
        name: String,
        operation: String,
        supported: String,
    },
    #[error(transparent)]
    Component(#[from] BindingError),
}

impl Bindings {
    /// The bindings of an application.
    pub fn new(resources: Resources, resiliency: Resiliency) -> Self {
        Self {
            resources,
            resiliency,
            metrics: Metrics::off("", "").bindings(),
        }
    }

    /// Counts operations and events.
    #[must_use]
    pub fn measured(mut self, metrics: BindingMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Asks an output binding for an operation.
    ///
    /// # Errors
    /// There is no such binding, it does not do that, or its own failure.
    pub async fn invoke(&self, name: &str, invocation: Invocation) -> Result<Reply, Failed> {
        let start = Instant::now();
        let operation = invocation.operation.clone();
        let done = self.done(name, invocation).await;
        self.metrics.operation((name, &operation), &done, start);
        done.map_err(|error| failed(name, error))
    }

    async fn done(&self, name: &str, invocation: Invocation) -> Result<Reply, NotDone> {
        if invocation.operation.is_empty() {
            return Err(NotDone::NoOperation);
        }
        let component = self.resources.binding(name);
        let component = component.map_err(|lookup| missing(name, lookup))?;
        let output = component.output();
        let output = output.ok_or_else(|| NotDone::NotFound(name.to_owned()))?;
        let operations = output.operations();
        if !operations.contains(&invocation.operation) {
            return Err(NotDone::NotSupported {
                name: name.to_owned(),
                operation: invocation.operation,
                supported: operations.join(" "),
            });
        }
        let policies = self.resiliency.policies();
        let policy = policies.component(name, ComponentKind::Binding, Direction::Outbound);
        let mut request = Request::new(invocation, policy.as_ref());
        Ok(guarded(policy, || output.invoke(request.next())).await?)
    }

    /// The components that events may come from.
    pub fn inputs(&self) -> Vec<std::sync::Arc<BindingComponent>> {
        let mut all = self.resources.bindings();
        all.retain(|component| component.input().is_some());
        all
    }
}

fn missing(name: &str, lookup: Lookup) -> NotDone {
    let name = name.to_owned();
    match lookup {
        Lookup::Failed(why) => NotDone::NotStarted { name, why },
        Lookup::NotFound | Lookup::NotConfigured => NotDone::NotFound(name),
    }
}

fn failed(name: &str, error: NotDone) -> Failed {
    let text = format!("error invoking output binding {name}: {error}");
    let metadata = match error {
        NotDone::Component(BindingError::Refused { reply, .. }) => reply.metadata,
        _ => RequestMetadata::new(),
    };
    let error = ApiError::new(
        "ERR_INVOKE_OUTPUT_BINDING",
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        text,
    );
    Failed {
        error: error.reasoned(),
        metadata,
    }
}
