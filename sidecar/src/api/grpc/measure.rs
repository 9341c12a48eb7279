//! What metrics see of a call: from its head to its status.

use axum::body::Body;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response};
use tokio::time::Instant;
use tonic::Code;

use super::service::{DAPR, SERVICE_INVOCATION};
use crate::api::http::log::{milliseconds_since, user_agent};
use crate::metrics::body::{Counted, End, Passed, Watched};
use crate::metrics::{Completed, GrpcServerMetrics, Sizes};

/// What stands before a message, in bytes.
const PREFIX: u64 = 5;
/// Calls between sidecars are streams of frames: their sizes say nothing, and their head is their status.
const STREAM: &str = "CallLocalStream";

/// A call that is being served.
pub(super) struct Measured {
    path: Option<PathAndQuery>,
    kind: Kind,
    start: Instant,
    logged: Option<Line>,
}

/// What the API log says of a call beside its outcome.
pub(super) struct Line {
    user_agent: Option<String>,
}

/// Whose method is called.
enum Kind {
    /// The sidecar's own; bytes of its request.
    Own(Passed),
    /// The sidecar's own, without messages to measure.
    Stream,
    /// The application's, or another application's.
    Proxied,
}

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Of the application: requests to this server.
    Application,
    /// Of other sidecars: what is passed on to the application counts as a request of this sidecar.
    Sidecar,
}

impl Measured {
    /// Begins to measure; the request's body may count its bytes from now on.
    pub(super) fn new<B>(request: Request<B>) -> (Self, Request<Body>)
    where
        B: http_body::Body<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let kind = kind(request.uri().path());
        let path = request.uri().path_and_query().cloned();
        let request = match &kind {
            Kind::Own(passed) => {
                let passed = passed.clone();
                request.map(|body| Body::new(Counted::new(body, passed)))
            }
            _ => request.map(Body::new),
        };
        let start = Instant::now();
        let measured = Self {
            path,
            kind,
            start,
            logged: None,
        };
        (measured, request)
    }

    pub(super) fn path(&self) -> &str {
        self.path.as_ref().map_or("/", PathAndQuery::path)
    }

    /// The call is also logged when it is counted.
    pub(super) fn logged(self, logged: Option<Line>) -> Self {
        Self { logged, ..self }
    }

    /// Counts the call when its status is known: with the head of a failure or of a stream, else at the end.
    pub(super) fn finish(
        self,
        (metrics, caller): (&GrpcServerMetrics, Caller),
        response: Response<Body>,
    ) -> Response<Body> {
        let failed = status_in(response.headers());
        if failed.is_some() {
            metrics.failed(response.headers());
        }
        let tell = {
            let metrics = metrics.clone();
            move |end: End| self.tell((&metrics, caller), failed, end)
        };
        response.map(|body| Body::new(Watched::new(body, tell)))
    }

    fn tell(
        &self,
        (metrics, caller): (&GrpcServerMetrics, Caller),
        failed: Option<Code>,
        end: End,
    ) {
        // A body that was dropped before its trailers was cancelled by the client.
        let status = failed.or(end.status).unwrap_or(Code::Cancelled);
        if let Some(line) = &self.logged {
            line.write(self.path(), status, self.start);
        }
        let sizes = match &self.kind {
            Kind::Own(passed) => Some(Sizes {
                request: passed.get().saturating_sub(PREFIX),
                response: end.bytes.saturating_sub(PREFIX),
            }),
            Kind::Stream | Kind::Proxied => None,
        };
        let call = Completed {
            method: self.path(),
            status,
            sizes,
        };
        match (&self.kind, caller) {
            (Kind::Proxied, Caller::Sidecar) => metrics.passed_on(&call, self.start),
            _ => metrics.served(&call, self.start),
        }
    }
}

impl Line {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let user_agent = user_agent(headers);
        Self { user_agent }
    }

    fn write(&self, method: &str, status: Code, start: Instant) {
        tracing::info!(
            target: "dapr.runtime.grpc.api-info",
            method,
            useragent = self.user_agent,
            code = i32::from(status),
            duration = milliseconds_since(start),
            "gRPC API Called"
        );
    }
}

fn kind(path: &str) -> Kind {
    match path.strip_prefix(SERVICE_INVOCATION) {
        Some(STREAM) => Kind::Stream,
        Some(_) => Kind::Own(Passed::default()),
        None if path.starts_with(DAPR) => Kind::Own(Passed::default()),
        None => Kind::Proxied,
    }
}

/// The status in the head of a failure without content.
pub(super) fn status_in(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get("grpc-status")?;
    Some(Code::from_bytes(code.as_bytes()))
}
