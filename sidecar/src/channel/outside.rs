//! Hosts outside Dapr: addresses that an application names, and those of HTTPEndpoints.
//!
//! Certificates are always verified, and the application's token is never shown: both belong to the application's own
//! channel. A client here owns its connections; nothing is opened before the first call.

mod proxy;
mod redirect;
mod tls;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::connector::AppIo;
use super::unreachable;
use crate::blocks::invoke::CallError;
use crate::payload::collect;
use crate::pipeline::Pipeline;
use proxy::Proxied;
use redirect::Step;

pub use proxy::{Proxies, ProxyVariables};
pub use tls::{ClientTls, InvalidTls, SystemTrust, Trust};

/// How long connecting may take, and again the TLS handshake, as upstream has it.
const DIAL_LIMIT: Duration = Duration::from_secs(15);
/// How long a connection is kept while nothing is asked, as Go's client keeps it.
const IDLE_LIMIT: Duration = Duration::from_secs(90);
/// Connections to one host that are kept while nothing is asked.
const IDLE_CONNECTIONS: usize = 64;
/// Redirects that are followed for one call, as many as Go's client follows.
const MOST_REDIRECTS: usize = 10;

/// A client of hosts outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OutsideClient {
    client: Client<OutsideConnector, Body>,
    proxies: Proxies,
}

/// A call to a host outside, ready to be sent.
#[derive(Debug)]
pub struct OutsideCall {
    /// The verb.
    pub method: Method,
    /// Where to.
    pub uri: Uri,
    /// What the caller gave, cleaned.
    pub headers: HeaderMap,
    /// What is meant for the first host only; overrides what the caller gave.
    pub own_headers: HeaderMap,
    /// The content; `Err` if it can be sent once only.
    pub body: Result<Bytes, Body>,
}

impl OutsideClient {
    /// A client that trusts as `trust` says.
    pub fn new(trust: Trust, proxies: Proxies) -> Self {
        let connector = OutsideConnector {
            trust,
            proxies: proxies.clone(),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Self { client, proxies }
    }

    /// Sends once.
    ///
    /// # Errors
    /// The host is away, shows a certificate that is not trusted, or breaks off.
    pub async fn send(&self, call: OutsideCall) -> Result<Response<Body>, CallError> {
        self.request(call.into_request()).await
    }

    /// Sends, and follows redirects as far as the call can be sent again.
    ///
    /// # Errors
    /// As [`OutsideClient::send`], or there are too many redirects.
    pub async fn send_following(&self, mut call: OutsideCall) -> Result<Response<Body>, CallError> {
        for _ in 0..=MOST_REDIRECTS {
            let request = call.next_request();
            let response = self.request(request).await?;
            match redirect::step(&call, &response) {
                Step::Answer => return Ok(response),
                Step::Follow { uri, keep_body } => call.move_to(uri, keep_body),
            }
        }
        Err(CallError::unknown(format!(
            "{} {:?}: stopped after {MOST_REDIRECTS} redirects",
            call.method,
            call.uri.to_string()
        )))
    }

    async fn request(&self, mut request: Request<Body>) -> Result<Response<Body>, CallError> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        if let Some(authorization) = self.proxies.authorization(&uri) {
            let headers = request.headers_mut();
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let response = self.client.request(request).await;
        let response = response.map_err(|error| unreachable(&method, &uri, &error))?;
        Ok(response.map(Body::new))
    }
}

impl OutsideCall {
    /// Sends it through a pipeline, which sees nothing of what is configured for the first host only.
    ///
    /// # Errors
    /// Those of `send`, or a body that broke off.
    pub async fn through<F, Fut>(
        mut self,
        pipeline: &Pipeline,
        send: F,
    ) -> Result<Response<Body>, CallError>
    where
        F: FnOnce(Self) -> Fut + Send,
        Fut: Future<Output = Result<Response<Body>, CallError>> + Send,
    {
        if pipeline.current().is_none() {
            return send(self).await;
        }
        let own_headers = std::mem::take(&mut self.own_headers);
        let again = self.body.is_ok();
        let end =
            |request| async move { send(Self::read(request, own_headers, again).await?).await };
        pipeline.around(self.into_request(), end).await
    }

    /// The call that a request is; with a body that can be sent `again` if it came with one.
    async fn read(
        request: Request<Body>,
        own_headers: HeaderMap,
        again: bool,
    ) -> Result<Self, CallError> {
        let (head, body) = request.into_parts();
        let body = if again {
            let whole = collect(body, usize::MAX).await;
            Ok(whole.map_err(|error| CallError::unknown(error.to_string()))?)
        } else {
            Err(body)
        };
        Ok(Self {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            own_headers,
            body,
        })
    }

    fn into_request(self) -> Request<Body> {
        let mut request = Request::new(match self.body {
            Ok(bytes) if bytes.is_empty() => Body::empty(),
            Ok(bytes) => Body::from(bytes),
            Err(stream) => stream,
        });
        let mut headers = self.headers;
        // Set, not added: what is configured replaces what the caller gave.
        for name in self.own_headers.keys() {
            headers.remove(name);
        }
        headers.extend(self.own_headers);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = headers;
        request
    }

    /// The request, while the call stays to be sent again; a body that can be sent once is gone then.
    fn next_request(&mut self) -> Request<Body> {
        let body = match &mut self.body {
            Ok(bytes) => Ok(bytes.clone()),
            Err(stream) => Err(std::mem::replace(stream, Body::empty())),
        };
        let sent = Self {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            own_headers: self.own_headers.clone(),
            body,
        };
        sent.into_request()
    }
}

/// Connects to whatever host an address names.
#[derive(Debug, Clone)]
struct OutsideConnector {
    trust: Trust,
    proxies: Proxies,
}

impl OutsideConnector {
    async fn connect(&self, uri: &Uri) -> io::Result<AppIo> {
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = match limited(self.proxies.connect(uri)).await? {
            Some(Proxied::Forwarding(stream)) => {
                return Ok(AppIo::Forwarding(TokioIo::new(stream)));
            }
            Some(Proxied::Tunnel(stream)) => stream,
            None => {
                let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
                let stream = limited(TcpStream::connect((host, port))).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        if !https {
            return Ok(AppIo::Plain(TokioIo::new(stream)));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let tls = self.trust.connector().await?;
        let stream = limited(tls.connect(name, stream)).await?;
        Ok(AppIo::Tls(Box::new(TokioIo::new(stream))))
    }
}

async fn limited<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(DIAL_LIMIT, step)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl tower::Service<Uri> for OutsideConnector {
    type Response = AppIo;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<AppIo>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await })
    }
}
