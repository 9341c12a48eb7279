//! The gRPC servers: who may ask, and which service answers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use tonic::Status;
use tower::Service;
use trilby_proto::internals::v1::service_invocation_server::ServiceInvocationServer;
use trilby_proto::runtime::v1::dapr_server::DaprServer;
use trilby_telemetry::Kind;

use super::measure::{Caller, Line, Measured};
use super::proxy::{Edge, Proxy};
use super::{Gate, GrpcApi, api_of, health, reflection};
use crate::api::http::ApiLogging;
use crate::api::internal::InternalApi;
use crate::api::traced::{Tell, Traced};
use crate::blocks::invoke::headers::API_TOKEN;
use crate::error::Detail;

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

pub(super) const DAPR: &str = "/dapr.proto.runtime.v1.Dapr/";
pub(super) const SERVICE_INVOCATION: &str = "/dapr.proto.internals.v1.ServiceInvocation/";

/// Its answer's metadata is the called application's.
const INVOKE_SERVICE: &str = "/dapr.proto.runtime.v1.Dapr/InvokeService";

/// The API for the application.
#[derive(Debug, Clone)]
pub struct ApiService {
    dapr: DaprServer<GrpcApi>,
    proxy: Proxy,
    gate: Gate,
}

impl ApiService {
    pub(super) fn new(api: GrpcApi, proxy: Proxy, gate: Gate, max_message: usize) -> Self {
        let dapr = DaprServer::new(api)
            .max_decoding_message_size(max_message)
            .max_encoding_message_size(max_message);
        Self { dapr, proxy, gate }
    }

    async fn serve(mut self, mut request: Request<Body>, measured: Measured) -> Response<Body> {
        let path = measured.path();
        let logged = self.gate.line(request.headers());
        let response = match self.gate.admit(path, request.headers_mut()) {
            // Probes have no token, as over HTTP.
            _ if health::serves(path, request.headers()) => {
                return health::answer(request, &self.gate.health, service_of(DAPR)).await;
            }
            Err(status) => status.into_http(),
            Ok(()) if reflection::serves(path) => return reflection::answer(request).await,
            Ok(()) => self.traced(request, path).await,
        };
        let measured = measured.logged(logged);
        measured.finish((&self.gate.metrics, Caller::Application), response)
    }

    async fn traced(&mut self, mut request: Request<Body>, path: &str) -> Response<Body> {
        let own_method = path.starts_with(DAPR);
        let kind = match own_method {
            true => Kind::Client,
            false => self.proxy.kind(request.headers()),
        };
        let traced = match Traced::grpc(&self.gate.tracing, kind, &mut request) {
            Ok(traced) => traced,
            Err(status) => return status.into_http(),
        };
        let response = match own_method {
            true => own(self.dapr.call(request)).await,
            false => Box::pin(self.proxy.pass(request, Edge::Application)).await,
        };
        let Some(traced) = traced else {
            return response;
        };
        if own_method {
            traced.own_method(path);
        }
        let tell = match own_method && path != INVOKE_SERVICE {
            true => Tell::Span,
            false => Tell::Nothing,
        };
        traced.answer_grpc(response, tell)
    }
}

impl Gate {
    /// Checks the token, takes it out of the request, and refuses APIs that rules refuse.
    fn admit(&self, path: &str, headers: &mut HeaderMap) -> Result<(), Status> {
        let shown = headers.remove(API_TOKEN);
        if self.token.is_required() && !self.token.accepts(shown.as_ref()) {
            let text = match shown {
                None => "missing api token in request metadata",
                Some(_) => "authentication error: api token mismatch",
            };
            return Err(rejected(StatusCode::UNAUTHORIZED, text));
        }
        let rules = self.rules.now();
        if rules.is_empty() {
            return Ok(());
        }
        match path.strip_prefix(DAPR).and_then(api_of::find) {
            Some((name, version)) if !rules.allow_grpc(name, version) => Err(refused()),
            _ => Ok(()),
        }
    }

    fn line(&self, headers: &HeaderMap) -> Option<Line> {
        let logs = **self.api_logging.now() != ApiLogging::Off;
        logs.then(|| Line::new(headers))
    }
}

fn refused() -> Status {
    rejected(
        StatusCode::NOT_IMPLEMENTED,
        "requested endpoint is not available",
    )
}

/// A refusal before any method: its message is the HTTP status it stands for, and the reason is a detail.
fn rejected(http: StatusCode, reason: &str) -> Status {
    let name = http.canonical_reason().unwrap_or_default();
    let metadata = [
        ("http.code", http.as_str().to_owned()),
        ("http.error_message", reason.to_owned()),
    ];
    let info = Detail::error_info(name, metadata).any();
    crate::error::status_with_details(crate::error::status_of_http(http), name, vec![info])
}

/// The API for other sidecars.
#[derive(Debug, Clone)]
pub struct InternalService {
    invocation: ServiceInvocationServer<InternalApi>,
    proxy: Proxy,
    gate: Gate,
}

impl InternalService {
    pub(super) fn new(api: InternalApi, proxy: Proxy, gate: Gate, max_message: usize) -> Self {
        let invocation = ServiceInvocationServer::new(api)
            .max_decoding_message_size(max_message)
            .max_encoding_message_size(max_message);
        Self {
            invocation,
            proxy,
            gate,
        }
    }

    async fn serve(mut self, request: Request<Body>, measured: Measured) -> Response<Body> {
        let path = measured.path();
        let response = if health::serves(path, request.headers()) {
            let service = service_of(SERVICE_INVOCATION);
            return health::answer(request, &self.gate.health, service).await;
        } else if reflection::serves(path) {
            return reflection::answer(request).await;
        } else {
            let known = path.starts_with(SERVICE_INVOCATION).then_some(path);
            self.traced(request, known).await
        };
        measured.finish((&self.gate.metrics, Caller::Sidecar), response)
    }

    async fn traced(&mut self, mut request: Request<Body>, known: Option<&str>) -> Response<Body> {
        let kind = match known {
            Some(_) => Kind::Server,
            None => self.proxy.kind(request.headers()),
        };
        let traced = match Traced::grpc(&self.gate.tracing, kind, &mut request) {
            Ok(traced) => traced,
            Err(status) => return status.into_http(),
        };
        let response = match known {
            Some(_) => own(self.invocation.call(request)).await,
            None => Box::pin(self.proxy.pass(request, Edge::Sidecar)).await,
        };
        let Some(traced) = traced else {
            return response;
        };
        match known {
            Some(path) => {
                traced.own_method(path);
                traced.answer_grpc(response, Tell::Span)
            }
            None => traced.answer_grpc(response, Tell::Nothing),
        }
    }
}

/// The service's name in the prefix of its methods' paths.
fn service_of(prefix: &'static str) -> &'static str {
    prefix.trim_matches('/')
}

/// The answer of a generated server.
async fn own(
    answering: impl Future<Output = Result<Response<tonic::body::Body>, Infallible>>,
) -> Response<Body> {
    match answering.await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

macro_rules! tower_service {
    ($service:ty) => {
        impl<B> Service<Request<B>> for $service
        where
            B: http_body::Body<Data = bytes::Bytes> + Unpin + Send + 'static,
            B::Error: Into<axum::BoxError>,
        {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = Answering;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<B>) -> Answering {
                let service = self.clone();
                let (measured, request) = Measured::new(request);
                Box::pin(async move { Ok(service.serve(request, measured).await) })
            }
        }
    };
}

tower_service!(ApiService);
tower_service!(InternalService);
