//! Service invocation: from an application, through this sidecar and the target's, to another application.
//!
//! ```text
//! Call ─► target is outside Dapr ───────────► Externals
//!      ├► target is this app ──────────────► AppChannel
//!      └► resolver ─► Peers ─► CallLocalStream of the target's sidecar (CallLocal where that is unknown)
//! ```
//!
//! A body in memory is sent again when the other sidecar was not reached; one still arriving is sent once.

mod call;
mod external;
pub mod frames;
pub mod headers;
mod remote;
mod retry;
pub mod sse;
mod target;
mod watched;

use std::sync::Arc;

use tonic::Code;
use trilby_components::name_resolution::{NameResolver, Query};
use trilby_resiliency::Resiliency;

use crate::channel::AppChannel;
use crate::metrics::InvocationMetrics;
use crate::path::normalize_method;
use crate::peers::Peers;

pub use call::{Answer, Call, CallError, Outcome, method_of, verb_of};
pub use external::{EndpointSettings, Externals, InvalidEndpoint};
pub use remote::{WireCall, from_wire_head, to_wire_head};
pub use retry::{InvokeError, stopped_status};
pub use target::{InvalidTarget, Target};

use external::External;
use headers::{DESTINATION, ForwardingHost, Parties, stamp_forwarding, stamp_identity};

/// Everything that invocations share.
#[derive(Debug)]
pub struct Invoker {
    /// This application's id.
    pub app_id: String,
    /// Its namespace.
    pub namespace: String,
    /// This host, for forwarding headers.
    pub host: ForwardingHost,
    /// The application behind this sidecar, if there is one.
    pub app: Option<AppChannel>,
    /// Targets outside Dapr.
    pub externals: Externals,
    /// Where other sidecars are.
    pub resolver: Arc<dyn NameResolver>,
    /// Connections to them.
    pub peers: Peers,
    /// The port that other sidecars listen on, unless their resolver says otherwise.
    pub internal_port: u16,
    /// The largest body taken into memory, in bytes.
    pub max_body: usize,
    /// Counters.
    pub metrics: InvocationMetrics,
    /// Policies of targets.
    pub resiliency: Resiliency,
}

impl Invoker {
    /// One attempt to invoke `target`: an HTTPEndpoint's name, an address, or an application as `app` or
    /// `app.namespace`.
    async fn invoke_once(&self, target: &str, mut call: Call) -> Result<Answer, CallError> {
        call.method = normalize_method(&call.method)
            .map_err(|error| invalid_method(&error))?
            .into_owned();
        if let Some(external) = self.externals.find(target) {
            return Box::pin(self.invoke_external(target, external, call)).await;
        }
        let target = Target::parse(target, &self.namespace)
            .map_err(|error| CallError::unknown(error.to_string()))?;
        if self.is_self(&target) {
            Box::pin(self.invoke_self(call)).await
        } else {
            self.invoke_remote(&target, call).await
        }
    }

    /// Whether a target is the application behind this sidecar.
    pub fn is_self(&self, target: &Target) -> bool {
        target.app_id == self.app_id && target.namespace == self.namespace
    }

    /// Where a target's sidecar listens.
    ///
    /// # Errors
    /// Nothing of that name is known.
    pub async fn locate(&self, target: &Target) -> Result<String, CallError> {
        let query = Query {
            app_id: &target.app_id,
            namespace: &target.namespace,
            port: self.internal_port,
        };
        self.resolver
            .resolve(&query)
            .await
            .map_err(|error| CallError::unknown(error.to_string()))
    }

    async fn invoke_external(
        &self,
        name: &str,
        external: External<'_>,
        call: Call,
    ) -> Result<Answer, CallError> {
        let timer = self.metrics.sent(name, crate::metrics::CallKind::Unary);
        let answer = self.externals.invoke(external, call).await?;
        timer.received(answer.outcome.number());
        Ok(answer)
    }

    async fn invoke_self(&self, mut call: Call) -> Result<Answer, CallError> {
        let Some(app) = &self.app else {
            return Err(CallError::unknown(
                "cannot invoke local endpoint: app channel not initialized",
            ));
        };
        stamp_identity(&mut call.headers, &self.parties(&self.app_id));
        app.invoke(call).await
    }

    async fn invoke_remote(&self, target: &Target, mut call: Call) -> Result<Answer, CallError> {
        stamp_forwarding(&mut call.headers, &self.host);
        stamp_identity(&mut call.headers, &self.parties(&target.app_id));
        call.headers
            .insert(DESTINATION, call.headers[headers::CALLEE_ID].clone());
        let events = sse::wanted(&call.headers);
        let mut answer = self.invoke_hop(target, call).await?;
        if events && sse::succeeds(&answer.outcome) {
            sse::mark(&mut answer);
        }
        Ok(answer)
    }

    /// What has a circuit breaker of its own among the calls of a target: each method of an application or an
    /// address; an HTTPEndpoint has one.
    fn breaker_key<'a>(&self, target: &str, call: &'a Call) -> &'a str {
        match self.externals.find(target) {
            Some(External::Endpoint(_)) => "",
            Some(External::Address(_)) | None => &call.method,
        }
    }

    fn parties<'a>(&'a self, callee: &'a str) -> Parties<'a> {
        Parties {
            caller_namespace: &self.namespace,
            caller: &self.app_id,
            callee,
        }
    }
}

fn invalid_method(error: &crate::path::InvalidName) -> CallError {
    CallError::status(Code::InvalidArgument, format!("invalid method: {error}"))
}
