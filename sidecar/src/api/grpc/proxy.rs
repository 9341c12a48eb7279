//! Calls to gRPC services that the sidecar does not know: passed on byte by byte, to the application behind
//! this sidecar or to another sidecar.

mod policy;
mod relay;
mod replay;
mod reply;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::{Code, Status};
use tower::Service as _;
use trilby_grpc::{Channel, PeerIdentity};
use trilby_identity::SpiffeId;
use trilby_telemetry::Kind;

use crate::api::internal::InternalApi;
use crate::blocks::Blocks;
use crate::blocks::invoke::headers::{
    API_TOKEN, APP_ID, CALLEE_ID, Origin, Parties, stamp_identity,
};
use crate::blocks::invoke::{CallError, Target};
use crate::metrics::CallKind;
use crate::path::normalize_method;
use crate::tracing_context;
use relay::Limit;

/// Says that a call is a stream.
const STREAM: &str = "dapr-stream";

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
            Ok(target) => self.to_target(request, &target).await,
            Err(status) => Err(status),
        };
        passed.unwrap_or_else(Status::into_http)
    }

    /// The side of a call that passes: the callee's where it is for the application behind this sidecar.
    pub(super) fn kind(&self, headers: &HeaderMap) -> Kind {
        match self.target(headers) {
            Ok(target) if self.blocks.invoke.is_self(&target) => Kind::Server,
            _ => Kind::Client,
        }
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
        self.send(grpc.raw(), request).await
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
        let channel = self.connected(target).await?;
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
        let kind = kind(request.headers());
        let timer = invoke.metrics.sent(&target.app_id, kind);
        let response = self.send(channel, request).await?;
        timer.received(number(&response));
        Ok(response)
    }

    /// A connection to the target's sidecar that stands. One that cannot be made is tried once more, where the target is
    /// by then: nothing has been sent yet.
    async fn connected(&self, target: &Target) -> Result<Channel, Status> {
        match self.connect(target).await {
            Err(status) if status.code() == Code::Unavailable => self.connect(target).await,
            connected => connected,
        }
    }

    async fn connect(&self, target: &Target) -> Result<Channel, Status> {
        let invoke = &self.blocks.invoke;
        let address = invoke.locate(target).await;
        let address = address.map_err(|error| status_of(&error))?;
        let channel = invoke.peers.channel(&address, target);
        let channel = channel.map_err(|error| Status::internal(error.to_string()))?;
        if let Err(status) = channel.connect().await {
            invoke.peers.discard(&address, target);
            invoke.resolver.forget(&target.app_id, &target.namespace);
            return Err(status);
        }
        Ok(channel)
    }

    async fn send(
        &self,
        mut channel: Channel,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let limit = Limit::new(self.blocks.invoke.max_body);
        let request = request.map(|body| tonic::body::Body::new(limit.watch(body)));
        match channel.call(request).await {
            Ok(response) => Ok(limit.relay(response.map(Body::new))),
            Err(status) => Err(limit.explain(status)),
        }
    }
}

/// How metrics name a call, as its client says.
fn kind(headers: &HeaderMap) -> CallKind {
    let says = headers.get(STREAM).and_then(|value| value.to_str().ok());
    if says.is_some_and(trilby_go_syntax::truthy) {
        CallKind::Streaming
    } else {
        CallKind::Unary
    }
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
