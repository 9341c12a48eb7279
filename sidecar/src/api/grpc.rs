//! The gRPC API, and calls to services of applications that pass through unchanged.

mod actors;
mod api_of;
mod bindings;
mod configuration;
mod crypto;
mod dapr;
mod health;
mod invoke;
mod lock;
mod measure;
mod metadata;
mod proxy;
mod publish;
mod reflection;
mod secrets;
mod service;
mod spans;
mod state;
mod subscribe;

use std::sync::Arc;

use trilby_telemetry::Tracing;

use crate::api::ApiRules;
use crate::api::http::ApiLogging;
use crate::api::internal::InternalApi;
use crate::blocks::Blocks;
use crate::health::HealthView;
use crate::live::Live;
use crate::metrics::GrpcServerMetrics;
use crate::shutdown::ShutdownRequest;
use crate::tokens::ApiToken;

pub(in crate::api) use lock::answer as unlock_status;
pub use proxy::Proxy;
pub use service::{ApiService, InternalService};

/// Everything that the gRPC API needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GrpcApi {
    /// The blocks behind it.
    pub blocks: Arc<Blocks>,
    /// Ends the process.
    pub shutdown: ShutdownRequest,
}

/// What happens to every request before and after its method.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The token that callers must show, if any.
    pub token: ApiToken,
    /// Which APIs exist.
    pub rules: Live<ApiRules>,
    /// Logs every call.
    pub api_logging: Live<ApiLogging>,
    /// What the health service answers.
    pub health: HealthView,
    /// Counters.
    pub metrics: GrpcServerMetrics,
    /// Traces every request.
    pub tracing: Tracing,
}

/// Both gRPC servers of a sidecar.
#[derive(Debug)]
pub struct Services {
    /// For the application.
    pub api: ApiService,
    /// For other sidecars.
    pub internal: InternalService,
}

impl Services {
    /// Puts the servers together; `max_message` is the largest message in bytes.
    pub fn new(api: GrpcApi, internal: InternalApi, gate: Gate, max_message: usize) -> Self {
        let proxy = Proxy::new(Arc::clone(&api.blocks), internal.clone());
        Self {
            api: ApiService::new(api, proxy.clone(), gate.clone(), max_message),
            internal: InternalService::new(internal, proxy, gate, max_message),
        }
    }
}
