//! What tracing does at the edge of every server: it reads the caller's context, makes the request's headers say
//! the span that was started, tells the client that span, and notes how the request ended.
//!
//! Upstream's names, kinds and attributes. What only a handler knows (a method inside a message, a store) it adds
//! through the [`SpanHandle`] in its request's extensions.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use tonic::{Code, Status};
use trilby_grpc::peer;
use trilby_telemetry::baggage::{BAGGAGE, Baggage, InvalidBaggage};
use trilby_telemetry::{Kind, Note, Span, SpanHandle, Tracing};

use crate::blocks::invoke::headers::API_TOKEN;

/// Headers that begin so are a user's own attributes.
const USERS_OWN: &str = "dapr-";
/// The method or service of a call.
pub(super) const RPC_SERVICE: &str = "rpc.service";
/// Whom a call is for.
pub(super) const PEER_NAME: &str = "net.peer.name";

/// A request that is being traced.
#[derive(Debug)]
pub(super) struct Traced {
    span: Span,
    echo: Option<HeaderValue>,
}

/// Whether a gRPC client is told the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// In `grpc-trace-bin`.
    Span,
    /// Not: the answer's metadata is an application's.
    Nothing,
}

impl Traced {
    /// A request to an HTTP API. `None` if it is not to be looked at: tracing is off, or somebody asks for health.
    ///
    /// # Errors
    /// Its baggage cannot be passed on.
    pub(super) fn http(
        tracing: &Tracing,
        request: &mut Request<Body>,
    ) -> Result<Option<Self>, InvalidBaggage> {
        if !tracing.is_on() || request.uri().path().contains("/healthz") {
            return Ok(None);
        }
        let path = request.uri().path();
        let span = tracing.start_http(request.headers(), Kind::Client, || path.to_owned());
        if let Some(note) = span.note() {
            describe_http(note, request);
        }
        let baggage = join_baggage(request.headers_mut())?;
        span.handle().to_http(request.headers_mut());
        if span.note().is_some() {
            span.handle().attach(request.extensions_mut());
        }
        Ok(Some(Self {
            span,
            echo: baggage.map(|baggage| baggage.text().clone()),
        }))
    }

    /// A request to a gRPC API; `kind` says which side of a call it is. `None` if tracing is off.
    ///
    /// # Errors
    /// `InvalidArgument`, if its baggage cannot be passed on.
    pub(super) fn grpc(
        tracing: &Tracing,
        kind: Kind,
        request: &mut Request<Body>,
    ) -> Result<Option<Self>, Status> {
        if !tracing.is_on() {
            return Ok(None);
        }
        let invalid = |error: InvalidBaggage| Status::invalid_argument(error.to_string());
        let baggage = join_baggage(request.headers_mut()).map_err(invalid)?;
        let path = request.uri().path();
        let span = tracing.start_grpc(request.headers(), kind, || path.to_owned());
        if let Some(note) = span.note() {
            describe_users_own(note, request.headers());
        }
        span.handle().to_grpc(request.headers_mut());
        span.handle().attach(request.extensions_mut());
        Ok(Some(Self {
            span,
            echo: baggage.and_then(|baggage| baggage.rewritten()),
        }))
    }

    /// Notes what every call of the sidecar's own gRPC methods has.
    pub(super) fn own_method(&self, path: &str) {
        if let Some(note) = self.span.note() {
            note.set("dapr.protocol", "grpc");
            note.set("dapr.api", path);
        }
    }

    /// The head of an HTTP answer is there; the span ends with it.
    pub(super) fn answer_http(self, response: &mut Response<Body>) {
        let status = response.status();
        if let Some(note) = self.span.note() {
            note.set("dapr.status_code", status.as_str());
            if status.as_u16() >= 400 {
                let text = status.canonical_reason().unwrap_or("Unknown");
                note.fail(format!("Code({}): {text}", status.as_u16()));
            }
        }
        self.span.handle().to_http_answer(response.headers_mut());
        self.echo(response.headers_mut());
    }

    /// The head of a gRPC answer is there; the span lasts until its status is.
    pub(super) fn answer_grpc(self, mut response: Response<Body>, tell: Tell) -> Response<Body> {
        if tell == Tell::Span {
            self.span.handle().to_grpc_answer(response.headers_mut());
        }
        self.echo(response.headers_mut());
        if self.span.note().is_none() {
            return response;
        }
        note_status(&self.span, response.headers());
        response.map(|body| {
            Body::new(TracedBody {
                body,
                span: Some(self.span),
            })
        })
    }

    fn echo(&self, headers: &mut HeaderMap) {
        if let Some(baggage) = &self.echo {
            headers.insert(BAGGAGE, baggage.clone());
        }
    }
}

/// What an HTTP client is told whose baggage is malformed.
pub(super) fn refused_http(error: &InvalidBaggage) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{error}\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Makes one header of several, so that nothing is lost where only the first is read.
fn join_baggage(headers: &mut HeaderMap) -> Result<Option<Baggage>, InvalidBaggage> {
    let baggage = Baggage::of(headers)?;
    if let Some(baggage) = &baggage {
        headers.insert(BAGGAGE, baggage.text().clone());
    }
    Ok(baggage)
}

/// The span in a request's extensions, if somebody will read it.
pub(super) fn describe(extensions: &Extensions, describe: impl FnOnce(&Note)) {
    if let Some(handle) = extensions.get::<SpanHandle>() {
        handle.describe(describe);
    }
}

fn describe_http(note: &Note, request: &Request<Body>) {
    describe_users_own(note, request.headers());
    let (method, path) = (request.method(), request.uri().path());
    note.set("dapr.protocol", "http");
    note.set("dapr.api", format!("{method} {path}"));
    note.set("http.request.method", method.as_str());
    let url = request
        .uri()
        .path_and_query()
        .map_or(path, |url| url.as_str());
    note.set("url.full", url);
    // The client's address, under the names that upstream gives it.
    if let Some(address) = peer(request.extensions()).and_then(|peer| peer.addr) {
        note.set("server.address", address.ip().to_string());
        note.set("server.port", address.port().to_string());
    }
}

fn describe_users_own(note: &Note, headers: &HeaderMap) {
    let users_own = |name: &HeaderName| {
        let text = name.as_str();
        text.starts_with(USERS_OWN) && !text.ends_with("-bin") && name != API_TOKEN
    };
    for (name, value) in headers.iter().filter(|(name, _)| users_own(name)) {
        if let Ok(value) = value.to_str() {
            note.set(name.as_str().to_owned(), value);
        }
    }
}

fn note_status(span: &Span, headers: &HeaderMap) {
    let status = Status::from_header_map(headers);
    let failure = status.filter(|status| status.code() != Code::Ok);
    if let (Some(note), Some(failure)) = (span.note(), failure) {
        note.fail(failure.message().to_owned());
    }
}

/// Ends a span with the body's last frame, which holds the status, or with the body.
struct TracedBody {
    body: Body,
    span: Option<Span>,
}

impl http_body::Body for TracedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(trailers), Some(span)) = (frame.trailers_ref(), &self.span) {
                    note_status(span, trailers);
                }
            }
            Some(Err(error)) => {
                if let Some(note) = self.span.as_ref().and_then(Span::note) {
                    note.fail(error.to_string());
                }
            }
            None => self.span = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
