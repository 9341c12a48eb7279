//! What the sidecar counts, under upstream's names.
//!
//! ```text
//! definitions ─► families ─► series ◄─ record ─ HttpServerMetrics, InvocationMetrics, … (what the rest of the sidecar has)
//!                   └─► scrape, piece by piece
//! ```
//!
//! A [`Definition`] is all that is said of a family. Every family is bounded, whatever callers
//! send. A changed Configuration swaps the families that it changes, while requests are served.

mod actors;
mod bindings;
pub mod body;
mod components;
pub mod definition;
mod errors;
mod families;
mod family;
mod group;
mod grpc;
mod http;
mod invocation;
mod labels;
mod path;
mod pattern;
mod pubsub;
mod resiliency;
mod resources;
mod rules;
mod settings;
mod text;
mod value;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::time::Instant;
use trilby_bootstrap::Exposition;

use definition::Definition;
use families::{AnyFamily, Making};

pub use actors::ActorMetrics;
pub use bindings::BindingMetrics;
pub use body::Sizes;
pub use components::{ComponentMetrics, Operation, StartFailure};
pub use grpc::{Completed, GrpcClientMetrics, GrpcServerMetrics};
pub use http::{HttpClientMetrics, HttpServerMetrics, Served};
pub use invocation::{CallKind, InvocationMetrics, SentTimer};
pub use pubsub::{Processed, PubSubMetrics};
pub use resiliency::{PolicyLabels, ResiliencyMetrics};
pub use settings::{InvalidSettings, Settings};

/// The metrics of one sidecar. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    app_id: Arc<str>,
    namespace: Arc<str>,
    /// `None` where nothing is counted.
    families: ArcSwapOption<Families>,
}

/// All families, made from one Configuration.
struct Families {
    settings: Settings,
    all: Arc<[AnyFamily]>,
    http: http::Http,
    grpc: grpc::Grpc,
    invocation: invocation::Invocation,
    components: components::Components,
    pubsub: pubsub::PubSub,
    bindings: bindings::Bindings,
    actors: actors::Actors,
    resiliency: resiliency::Resiliency,
    errors: errors::Errors,
}

// === impl Metrics ===

impl Metrics {
    /// Metrics of an application's sidecar that count what `settings` ask for.
    pub fn new(app_id: &str, namespace: &str, settings: &Settings) -> Self {
        let metrics = Self::off(app_id, namespace);
        metrics.apply(settings);
        metrics
    }

    /// Metrics that count nothing.
    pub fn off(app_id: &str, namespace: &str) -> Self {
        Self(Arc::new(Shared {
            app_id: app_id.into(),
            namespace: namespace.into(),
            families: ArcSwapOption::empty(),
        }))
    }

    /// Counts what `settings` ask for from now on. Families that are not changed go on from where they are.
    pub fn apply(&self, settings: &Settings) {
        let current = self.0.families.load_full();
        if current
            .as_ref()
            .is_some_and(|current| current.settings == *settings)
        {
            return;
        }
        let previous = current.as_ref().map_or(&[][..], |current| &current.all);
        let families = settings
            .enabled
            .then(|| Arc::new(Families::new(settings, previous)));
        self.0.families.store(families);
    }

    /// Requests to the HTTP API.
    pub fn http_server(&self) -> HttpServerMetrics {
        HttpServerMetrics(self.clone())
    }

    /// Requests to the application over HTTP.
    pub fn http_client(&self) -> HttpClientMetrics {
        HttpClientMetrics(self.clone())
    }

    /// Requests to the gRPC servers.
    pub fn grpc_server(&self) -> GrpcServerMetrics {
        GrpcServerMetrics(self.clone())
    }

    /// Requests of the sidecar over gRPC.
    pub fn grpc_client(&self) -> GrpcClientMetrics {
        GrpcClientMetrics(self.clone())
    }

    /// Calls between sidecars.
    pub fn invocation(&self) -> InvocationMetrics {
        InvocationMetrics(self.clone())
    }

    /// Components.
    pub fn components(&self) -> ComponentMetrics {
        ComponentMetrics(self.clone())
    }

    /// Messages.
    pub fn pubsub(&self) -> PubSubMetrics {
        PubSubMetrics(self.clone())
    }

    /// Bindings.
    pub fn bindings(&self) -> BindingMetrics {
        BindingMetrics(self.clone())
    }

    /// Actors.
    pub fn actors(&self) -> ActorMetrics {
        ActorMetrics(self.clone())
    }

    /// Resiliency policies.
    pub fn resiliency(&self) -> ResiliencyMetrics {
        ResiliencyMetrics(self.clone())
    }

    fn namespace(&self) -> &str {
        &self.0.namespace
    }

    fn with(&self, record: impl FnOnce(&Families)) {
        if let Some(families) = &*self.0.families.load() {
            record(families);
        }
    }
}

impl Exposition for Metrics {
    fn pieces(&self) -> Box<dyn Iterator<Item = Bytes> + Send> {
        match self.0.families.load_full() {
            Some(families) => {
                let app_id = Arc::clone(&self.0.app_id);
                Box::new(text::Scrape::new(Arc::clone(&families.all), app_id))
            }
            None => Box::new(std::iter::empty()),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("app_id", &self.0.app_id)
            .finish_non_exhaustive()
    }
}

// === impl Families ===

impl Families {
    fn new(settings: &Settings, previous: &[AnyFamily]) -> Self {
        let mut making = Making::new(settings, previous);
        Self {
            http: http::Http::new(&mut making),
            grpc: grpc::Grpc::new(&mut making),
            invocation: invocation::Invocation::new(&mut making),
            components: components::Components::new(&mut making),
            pubsub: pubsub::PubSub::new(&mut making),
            bindings: bindings::Bindings::new(&mut making),
            actors: actors::Actors::new(&mut making),
            resiliency: resiliency::Resiliency::new(&mut making),
            errors: errors::new(&mut making),
            all: making.finish(),
            settings: settings.clone(),
        }
    }
}

/// Every family that a sidecar can have, for the reference page.
pub fn catalogue() -> Vec<&'static Definition> {
    let settings = Settings::everything();
    let all = Families::new(&settings, &[]).all;
    let mut definitions: Vec<_> = all.iter().map(AnyFamily::definition).collect();
    definitions.push(&text::OVERFLOW);
    definitions.sort_by_key(|definition| definition.name);
    definitions
}

/// The milliseconds since `start`, as metrics have them.
fn elapsed_ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests;
