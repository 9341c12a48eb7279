//! Applications that speak HTTP.

use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use trilby_sidecar_args::AppProtocol;

use super::body::AppBody;
use super::measure::Measured;
use super::slots::Slots;
use super::uri::Base;
use super::{ChannelConfig, Connector, Health, require_healthy, unreachable};
use crate::blocks::invoke::headers::{API_TOKEN, Origin, strip_hop_by_hop, to_http};
use crate::blocks::invoke::{Answer, Call, CallError, Outcome, method_of};
use crate::metrics::HttpClientMetrics;
use crate::payload::Payload;
use crate::pipeline::Pipeline;
use crate::tracing_context;

/// Connections kept open while nothing is asked, as upstream keeps.
const IDLE_CONNECTIONS: usize = 64;
/// How long they are kept; shorter than common servers do, so that a dead one is rarely picked.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// Calls that may be open at once to an application that speaks HTTP/1, each on a connection of its own, as upstream has
/// it; further ones wait.
const MOST_CONNECTIONS: usize = 1024;
/// What a header takes on the wire besides name and value: colon, space and line end.
const HEADER_OVERHEAD: usize = 4;
/// The smallest read buffer of a connection, in bytes. Heads are limited apart, so that bodies flow in large pieces.
const READ_BUFFER: usize = 64 * 1024;

/// A client of the application.
#[derive(Debug, Clone)]
pub struct HttpChannel {
    client: Client<Connector, Body>,
    base: Base,
    token: Option<HeaderValue>,
    slots: Slots,
    max_head: usize,
    health: Health,
    pipeline: Pipeline,
    metrics: HttpClientMetrics,
}

impl HttpChannel {
    pub(super) fn new(config: &ChannelConfig, health: Health, pipeline: Pipeline) -> Self {
        let (scheme, connector) = match config.protocol {
            AppProtocol::Https => (Scheme::HTTPS, Connector::tls(&config.host, config.port)),
            _ => (Scheme::HTTP, Connector::plain(&config.host, config.port)),
        };
        let limit = match config.protocol {
            AppProtocol::H2c => config.max_concurrency,
            _ => Some(MOST_CONNECTIONS.min(config.max_concurrency.unwrap_or(MOST_CONNECTIONS))),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(config.max_head.max(READ_BUFFER))
            .http2_only(config.protocol == AppProtocol::H2c)
            .build(connector);
        Self {
            client,
            base: Base::new(scheme, &config.host, config.port),
            token: config.token.clone(),
            slots: Slots::new(limit),
            max_head: config.max_head,
            health,
            pipeline,
            metrics: config.metrics.http_client(),
        }
    }

    /// Calls a method of the application.
    ///
    /// # Errors
    /// The application is unhealthy, unreachable, or broke off before its answer's head.
    pub async fn invoke(&self, call: Call) -> Result<Answer, CallError> {
        require_healthy(&self.health)?;
        let request = self.request(call)?;
        let place = self.slots.take().await;
        let measured = Measured::new(&request);
        let send = |request| self.send(request, place);
        let answered = self.pipeline.around(request, send).await;
        let response = measured.finish(&self.metrics, answered)?;
        Ok(answer_of(response))
    }

    /// Sends, and keeps the place until the answer has been read.
    async fn send(
        &self,
        request: Request<Body>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Response<Body>, CallError> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let response = self.client.request(request).await;
        let response = response.map_err(|error| unreachable(&method, &uri, &error))?;
        self.check_head(&response)?;
        let (head, body) = response.into_parts();
        let body = AppBody::new(body, &head.headers, place);
        Ok(Response::from_parts(head, Body::new(body)))
    }

    /// Refuses a head that is larger than allowed.
    fn check_head<B>(&self, response: &Response<B>) -> Result<(), CallError> {
        let size: usize = response
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + HEADER_OVERHEAD)
            .sum();
        if size <= self.max_head {
            return Ok(());
        }
        Err(CallError::unknown(format!(
            "the application's response headers have {size} bytes, {} are allowed (see --read-buffer-size)",
            self.max_head
        )))
    }

    /// Asks whether the application is healthy; its token is not shown.
    ///
    /// # Errors
    /// The application is unreachable.
    pub async fn probe(&self, path: &str) -> Result<http::StatusCode, CallError> {
        let uri = self.base.method(path, "")?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.clone();
        let start = Instant::now();
        let response: Result<Response<Incoming>, _> = self.client.request(request).await;
        let status = response.as_ref().map(Response::status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.metrics.probed(status, start);
        let response = response.map_err(|error| unreachable(&Method::GET, &uri, &error))?;
        Ok(response.status())
    }

    fn request(&self, call: Call) -> Result<Request<Body>, CallError> {
        let method = method_of(call.verb)?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.base.method(&call.method, &call.query)?;
        *request.headers_mut() = self.headers(call.headers, call.origin, &call.content_type);
        if call.body.known_length() == Some(0) && takes_body(&method) {
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *request.method_mut() = method;
        *request.body_mut() = call.body.into_body();
        Ok(request)
    }

    fn headers(&self, headers: HeaderMap, origin: Origin, content_type: &str) -> HeaderMap {
        let mut headers = tracing_context::for_http(headers, origin);
        headers = to_http(headers);
        if let Ok(value) = HeaderValue::from_str(content_type)
            && !value.is_empty()
        {
            headers.insert(CONTENT_TYPE, value);
        }
        if let Some(token) = &self.token {
            headers.insert(API_TOKEN, token.clone());
        }
        headers
    }
}

/// Methods whose empty body is announced as such.
fn takes_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// An HTTP response as the answer to a call.
pub fn answer_of(response: Response<Body>) -> Answer {
    let (mut head, body) = response.into_parts();
    strip_hop_by_hop(&mut head.headers);
    head.headers.remove(CONTENT_LENGTH);
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    Answer {
        outcome: Outcome::Http(head.status),
        content_type: content_type.unwrap_or_default().to_owned(),
        headers: head.headers,
        trailers: HeaderMap::new(),
        origin: Origin::Http,
        type_url: String::new(),
        body: Payload::arriving(body),
    }
}
