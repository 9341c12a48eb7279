//! Calls to gRPC services that the sidecar does not know: passed on byte by byte, to the application behind
//! this sidecar or to another sidecar.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::{Code, Status};
use tower::Service as _;
use trilby_grpc::{Channel, PeerIdentity};
use trilby_identity::SpiffeId;

use crate::api::internal::InternalApi;
use crate::blocks::Blocks;
use crate::blocks::invoke::headers::{
    API_TOKEN, APP_ID, CALLEE_ID, Origin, Parties, stamp_identity,
};
use crate::blocks::invoke::{CallError, Target};
use crate::metrics::CallKind;
use crate::path::normalize_method;
use crate::tracing_context;

/// Where a call came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// The application behind this sidecar.
    Application,
    /// Another sidecar.
    Sidecar,
}

/// Passes calls on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Proxy {
    blocks: Arc<Blocks>,
    internal: InternalApi,
}

impl Proxy {
    pub(super) fn new(blocks: Arc<Blocks>, internal: InternalApi) -> Self {
        Self { blocks, internal }
    }

    /// Passes one call on.
    pub(super) async fn pass(&self, request: Request<Body>, edge: Edge) -> Response<Body> {
        let passed = match self.target(request.headers()) {
            Ok(target) if self.blocks.invoke.is_self(&target) => self.to_app(request, edge).await,
            // A sidecar passes on what is meant for its own application only; anything else would go round.
            Ok(target) if edge == Edge::Sidecar => Err(not_mine(&target)),
            Ok(target) => self.to_sidecar(request, &target).await,
            Err(status) => Err(status),
        };
        passed.unwrap_or_else(Status::into_http)
    }

    fn target(&self, headers: &HeaderMap) -> Result<Target, Status> {
        let named = headers
            .get(CALLEE_ID)
            .or_else(|| headers.get(APP_ID))
            .and_then(|value| value.to_str().ok());
        let named = named.ok_or_else(|| {
            Status::unknown("failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found")
        })?;
        Target::parse(named, &self.blocks.invoke.namespace)
            .map_err(|error| Status::unknown(error.to_string()))
    }

    async fn to_app(
        &self,
        mut request: Request<Body>,
        edge: Edge,
    ) -> Result<Response<Body>, Status> {
        let method = normalize_method(request.uri().path());
        let method =
            method.map_err(|error| Status::invalid_argument(format!("invalid method: {error}")))?;
        let caller = request
            .extensions()
            .get::<PeerIdentity>()
            .and_then(|peer| peer.spiffe.clone());
        if edge == Edge::Sidecar {
            self.internal.judge(&method, None, caller.as_ref())?;
        }
        let app = self.blocks.invoke.app.as_ref().ok_or_else(no_app)?;
        let grpc = app.grpc().ok_or_else(|| {
            Status::unimplemented(
                "failed to proxy request: the app does not speak gRPC (see --app-protocol)",
            )
        })?;
        let headers = request.headers_mut();
        self.stamp_for_app(headers, edge, caller.as_ref());
        if let Some(token) = grpc.token() {
            headers.insert(API_TOKEN, token.clone());
        }
        send(grpc.raw(), request).await
    }

    fn stamp_for_app(&self, headers: &mut HeaderMap, edge: Edge, caller: Option<&SpiffeId>) {
        let invoke = &self.blocks.invoke;
        headers.remove(API_TOKEN);
        let (namespace, caller) = match (edge, caller) {
            (Edge::Application, _) => (invoke.namespace.as_str(), invoke.app_id.as_str()),
            (Edge::Sidecar, Some(id)) => (id.namespace(), id.app_id()),
            (Edge::Sidecar, None) => return,
        };
        let parties = Parties {
            caller_namespace: namespace,
            caller,
            callee: &invoke.app_id,
        };
        stamp_identity(headers, &parties);
    }

    async fn to_sidecar(
        &self,
        mut request: Request<Body>,
        target: &Target,
    ) -> Result<Response<Body>, Status> {
        let invoke = &self.blocks.invoke;
        let address = invoke
            .locate(target)
            .await
            .map_err(|error| status_of(&error))?;
        let channel = invoke.peers.channel(&address, target);
        let channel = channel.map_err(|error| Status::internal(error.to_string()))?;
        let headers = std::mem::take(request.headers_mut());
        let mut headers = tracing_context::for_grpc(headers, Origin::Grpc);
        headers.remove(APP_ID);
        let parties = Parties {
            caller_namespace: &invoke.namespace,
            caller: &invoke.app_id,
            callee: &target.app_id,
        };
        stamp_identity(&mut headers, &parties);
        *request.headers_mut() = headers;
        let timer = invoke.metrics.sent(&target.app_id, CallKind::Streaming);
        match send(channel, request).await {
            Ok(response) => {
                timer.received(number(&response));
                Ok(response)
            }
            Err(status) => {
                invoke.peers.discard(&address, target);
                invoke.resolver.forget(&target.app_id, &target.namespace);
                Err(status)
            }
        }
    }
}

async fn send(mut channel: Channel, request: Request<Body>) -> Result<Response<Body>, Status> {
    let response = channel.call(request.map(tonic::body::Body::new)).await?;
    Ok(response.map(Body::new))
}

fn number(response: &Response<Body>) -> i32 {
    let code = response
        .headers()
        .get("grpc-status")
        .map(HeaderValue::as_bytes);
    code.map_or(Code::Ok, Code::from_bytes) as i32
}

fn status_of(error: &CallError) -> Status {
    Status::new(error.code, error.message.clone())
}

fn no_app() -> Status {
    Status::internal("app channel is not initialized")
}

fn not_mine(target: &Target) -> Status {
    Status::failed_precondition(format!(
        "failed to proxy request: this sidecar does not belong to app {} in namespace {}",
        target.app_id, target.namespace
    ))
}
