//! The HTTP API.
//!
//! One table of routes ([`route`]), one place that writes responses ([`respond`]), a file per block.

mod absent;
mod actors;
mod any_case;
mod bindings;
mod configuration;
mod cors;
mod crypto;
mod escape;
mod group;
mod health;
mod invoke;
mod lock;
pub(in crate::api) mod log;
mod measure;
mod metadata;
mod proto_json;
mod publish;
mod respond;
mod route;
mod secrets;
mod service;
mod spans;
mod state;
mod subtle;
mod target;
mod unread;

use std::sync::Arc;

use trilby_telemetry::Tracing;

use crate::api::ApiRules;
use crate::blocks::Blocks;
use crate::health::HealthView;
use crate::live::Live;
use crate::metrics::HttpServerMetrics;
use crate::pipeline::Pipeline;
use crate::shutdown::ShutdownRequest;
use crate::tokens::ApiToken;

pub use bindings::invocation as binding_invocation;
pub use cors::Cors;
pub use service::{HttpService, PublicService};

/// Everything that the HTTP API needs.
#[derive(Debug)]
pub struct HttpApi {
    /// The blocks behind it.
    pub blocks: Arc<Blocks>,
    /// What health routes answer.
    pub health: HealthView,
    /// The token that callers must show, if any.
    pub token: ApiToken,
    /// Which APIs exist.
    pub rules: Live<ApiRules>,
    /// Who may call from a browser.
    pub cors: Cors,
    /// Ends the process.
    pub shutdown: ShutdownRequest,
    /// The largest body taken, in bytes.
    pub max_body: usize,
    /// Logs every call.
    pub api_logging: Live<ApiLogging>,
    /// Middleware in front of the routes.
    pub pipeline: Pipeline,
    /// Counters.
    pub metrics: HttpServerMetrics,
    /// Traces every request.
    pub tracing: Tracing,
}

/// What is logged of calls to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiLogging {
    /// Nothing.
    Off,
    /// Every call, with or without its path, with or without health probes.
    On {
        /// Routes instead of paths.
        obfuscate_urls: bool,
        /// Health probes are left out.
        omit_health_checks: bool,
    },
}
