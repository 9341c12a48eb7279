//! A connection to one server, made when it is needed and made again after it was lost.
//!
//! tonic's own channel cannot verify SPIFFE identities, passes every call through a queue and a
//! task of its own, and hides why a connection failed. This one hands a call straight to HTTP/2,
//! and its failures say what happened: `connection to dapr-sentry:443 failed: unexpected SPIFFE ID`.

mod connections;
mod limits;

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, Uri, header::USER_AGENT, uri::Scheme};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsConnector;
use tonic::{Status, body::Body};
use tower::Service;
use trilby_identity::handshake_failure;

use crate::server::{CONNECTION_WINDOW, STREAM_WINDOW};
use connections::{Connections, Lease};
use limits::probe;

pub use connections::CallBody;
pub use limits::{ChannelConfig, Liveness};

/// Where a server is. The name is resolved at every connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// A DNS name or an IP address, IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// A text that names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid server address {0:?}: expected \"host:port\"")]
pub struct InvalidTarget(pub String);

/// A client's end of a connection: the transport of a generated gRPC client. Cheap to clone; clones
/// share the connection, which closes with the last of them. While more calls are open than one connection should
/// carry, there are several.
///
/// It bounds connecting, not calls: a deadline for an answer is the caller's.
#[derive(Clone)]
pub struct Channel {
    shared: Arc<Shared>,
}

/// A channel to `target`, with TLS or in plain text. Nothing is connected yet.
///
/// # Errors
/// When the target's host cannot stand in a URI.
pub fn channel(
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    config: ChannelConfig,
) -> Result<Channel, InvalidTarget> {
    let scheme = if tls.is_some() {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    };
    let origin = origin_of(&target, scheme)?;
    let tls = tls.map(|tls| with_alpn(&tls));
    Ok(Channel {
        shared: Arc::new(Shared {
            target,
            origin,
            tls,
            config,
            open: Arc::default(),
            connecting: tokio::sync::Mutex::new(None),
        }),
    })
}

fn origin_of(target: &Target, scheme: Scheme) -> Result<Uri, InvalidTarget> {
    Uri::builder()
        .scheme(scheme)
        .authority(target.to_string())
        .path_and_query("/")
        .build()
        .map_err(|_| InvalidTarget(target.to_string()))
}

struct Shared {
    target: Target,
    origin: Uri,
    tls: Option<TlsConnector>,
    config: ChannelConfig,
    open: Arc<Connections>,
    /// Held by whoever connects, so that callers which come together make one connection. Keeps
    /// the last failure for those who waited for that attempt.
    connecting: tokio::sync::Mutex<Option<(Instant, Status)>>,
}

// === impl Target ===

impl Target {
    /// Reads `host:port`; IPv6 addresses stand in brackets.
    ///
    /// # Errors
    /// When either part is missing or the port is no number.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().map_err(|_| invalid())?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(host) => host,
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        if host.is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl std::str::FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

// === impl Channel ===

impl Channel {
    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.shared.target
    }

    /// A channel to the same target that shares no connection with this one: a load balancer may lead it to another
    /// replica.
    #[must_use]
    pub fn anew(&self) -> Self {
        let Shared {
            target,
            origin,
            tls,
            config,
            ..
        } = &*self.shared;
        Self {
            shared: Arc::new(Shared {
                target: target.clone(),
                origin: origin.clone(),
                tls: tls.clone(),
                config: *config,
                open: Arc::default(),
                connecting: tokio::sync::Mutex::new(None),
            }),
        }
    }

    /// A channel to another target, with the same TLS and limits.
    ///
    /// # Errors
    /// When the target's host cannot stand in a URI.
    pub fn towards(&self, target: Target) -> Result<Self, InvalidTarget> {
        let Shared {
            origin,
            tls,
            config,
            ..
        } = &*self.shared;
        let scheme = origin.scheme().cloned().unwrap_or(Scheme::HTTP);
        Ok(Self {
            shared: Arc::new(Shared {
                origin: origin_of(&target, scheme)?,
                target,
                tls: tls.clone(),
                config: *config,
                open: Arc::default(),
                connecting: tokio::sync::Mutex::new(None),
            }),
        })
    }

    /// Connects now unless it is connected.
    ///
    /// # Errors
    /// `Unavailable`, with the reason in words.
    pub async fn connect(&self) -> Result<(), Status> {
        self.shared.lease().await.map(drop)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.shared.origin)
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<CallBody>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let request = shared.address(request)?;
            shared.send(request).await
        })
    }
}

// === impl Shared ===

impl Shared {
    /// Completes what a generated client leaves out: scheme, authority, user agent.
    fn address(&self, mut request: Request<Body>) -> Result<Request<Body>, Status> {
        let mut uri = self.origin.clone().into_parts();
        uri.path_and_query = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from_parts(uri)
            .map_err(|error| Status::internal(format!("invalid request path: {error}")))?;
        request
            .headers_mut()
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "trilby/",
                env!("CARGO_PKG_VERSION")
            )));
        Ok(request)
    }

    /// Sends on a connection with room. A call that a dying connection gave back unsent goes to
    /// another one; a call that may have been sent is never repeated.
    async fn send(&self, request: Request<Body>) -> Result<Response<CallBody>, Status> {
        let place = self.lease().await?;
        let request = match place.sender().try_send_request(request).await {
            Ok(response) => return Ok(held(response, place)),
            Err(mut failed) => match failed.take_message() {
                Some(request) => request,
                None => return Err(self.call_failed(failed.into_error())),
            },
        };
        place.retire();
        let place = self.lease().await?;
        match place.sender().send_request(request).await {
            Ok(response) => Ok(held(response, place)),
            Err(error) => Err(self.call_failed(error)),
        }
    }

    async fn lease(&self) -> Result<Lease, Status> {
        if let Some(place) = self.open.lease() {
            return Ok(place);
        }
        let asked = Instant::now();
        let mut last_failure = self.connecting.lock().await;
        if let Some(place) = self.open.lease() {
            return Ok(place);
        }
        if let Some((when, status)) = last_failure.as_ref()
            && *when >= asked
        {
            return Err(status.clone());
        }
        // A connection is made once for many calls; its state is not to weigh on each of them.
        match Box::pin(self.connect()).await {
            Ok(connection) => {
                *last_failure = None;
                Ok(self.open.add(connection))
            }
            Err(reason) => {
                let text = format!("connection to {} failed: {reason}", self.target);
                let status = Status::unavailable(text);
                *last_failure = Some((Instant::now(), status.clone()));
                Err(status)
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, String> {
        let limit = self.config.connect_timeout;
        tokio::time::timeout(limit, self.dial())
            .await
            .unwrap_or_else(|_| Err(format!("timed out after {}ms", limit.as_millis())))
    }

    async fn dial(&self) -> Result<SendRequest<Body>, String> {
        let address = (self.target.host.as_str(), self.target.port);
        let stream = TcpStream::connect(address)
            .await
            .map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        probe(&stream).map_err(|e| e.to_string())?;
        let Some(tls) = &self.tls else {
            return self.http(stream).await;
        };
        // By SPIFFE rules the name plays no part, and it is not sent either.
        let name = ServerName::try_from("spiffe.invalid").expect("is a DNS name");
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| handshake_reason(&error))?;
        self.http(stream).await
    }

    async fn http<I>(&self, stream: I) -> Result<SendRequest<Body>, String>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        if let Liveness::Pings { interval, timeout } = self.config.liveness {
            builder
                .keep_alive_interval(interval)
                .keep_alive_timeout(timeout)
                .keep_alive_while_idle(true);
        }
        let (send, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let target = self.target.to_string();
        // Ends with the connection, or when nobody holds `send` any more.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, target, "connection ended");
            }
        });
        Ok(send)
    }

    /// A server that resets one call chose a code for it. Whatever else ends a call took the
    /// connection with it, which says nothing about the call: gRPC calls that unavailable.
    fn call_failed(&self, error: hyper::Error) -> Status {
        let text = format!("call to {} failed: {}", self.target, chain(&error));
        if !is_reset_by_server(&error) {
            return Status::unavailable(text);
        }
        match Status::from_error(error.into()).code() {
            tonic::Code::Unknown => Status::unavailable(text),
            code => Status::new(code, text),
        }
    }
}

fn held(response: Response<hyper::body::Incoming>, place: Lease) -> Response<CallBody> {
    response.map(|body| CallBody {
        body,
        _place: place,
    })
}

fn is_reset_by_server(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<h2::Error>())
        .is_some_and(|cause| cause.is_reset() && cause.is_remote())
}

/// An error with its causes, which hyper's own text leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Adds what a bare end of the connection means at this point.
fn handshake_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the TLS handshake".to_owned()
        }
        _ => handshake_failure(error),
    }
}

fn with_alpn(tls: &ClientConfig) -> TlsConnector {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(tls))
}

#[cfg(test)]
mod tests;
