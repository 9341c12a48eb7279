//! `sentinel`: rules about how many requests a resource takes, how many at once, and when it rests. A resource is
//! `<METHOD>:<path>`.
//!
//! [`rules`] reads them, [`flow`], [`breaker`] and [`system`] decide without I/O, over counts in a [`window`] of time;
//! [`guard`] holds their state for one component. Only resources that a rule names are remembered.
//!
//! As with upstream, requests carry no parameters and report no errors, so rules about hot parameters and circuit
//! breakers by errors are read and never apply; a warning says so.

mod breaker;
mod flow;
mod guard;
mod held;
mod rules;
mod system;
mod window;

use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use tracing::warn;
use trilby_components::{
    metadata::{Metadata, Schema},
    middleware::{Body, HttpMiddleware, Next, refusal},
    registry::InitError,
};

use crate::uri::decoded_path;
use guard::Guard;
use rules::Rules;

/// The metadata of `sentinel`. Rules are JSON arrays, in Sentinel's own form.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Settings {
    /// The application's name, for Sentinel's files; nothing else uses it.
    app_name: String,
    /// Where Sentinel writes metrics; here they go to the sidecar's own log and metrics, so it has no effect.
    #[schemars(extend("effect" = "none"))]
    log_dir: String,
    /// How many requests pass in a time.
    pub(crate) flow_rules: String,
    /// When a slow resource rests.
    pub(crate) circuit_breaker_rules: String,
    /// Rules about parameters, which requests have none of.
    pub(crate) hot_spot_param_rules: String,
    /// How many requests run at once.
    pub(crate) isolation_rules: String,
    /// When everything has enough.
    pub(crate) system_rules: String,
}

impl Schema for Settings {}

pub(crate) fn create(metadata: &Metadata) -> Result<Arc<dyn HttpMiddleware>, InitError> {
    let settings: Settings = metadata.decode()?;
    if !settings.log_dir.is_empty() {
        warn!(
            app = settings.app_name,
            "sentinel writes no files here: logDir has no effect"
        );
    }
    let rules = Rules::read(&settings).map_err(InitError::Invalid)?;
    Ok(Arc::new(Sentinel {
        guard: Arc::new(Guard::new(rules)),
    }))
}

struct Sentinel {
    guard: Arc<Guard>,
}

#[async_trait]
impl HttpMiddleware for Sentinel {
    async fn handle(&self, request: Request<Body>, next: Next<'_>) -> Response<Body> {
        let resource = format!("{}:{}", request.method(), decoded_path(request.uri()));
        match Guard::enter(&self.guard, &resource).await {
            None => refusal(StatusCode::TOO_MANY_REQUESTS),
            Some(entry) => next
                .run(request)
                .await
                .map(|body| held::until_the_end(body, entry)),
        }
    }
}

#[cfg(test)]
mod tests;
