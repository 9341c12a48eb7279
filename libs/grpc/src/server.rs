//! One accept loop for every server: TCP or a unix socket, TLS by SPIFFE rules or none, tonic's services or axum's.
//!
//! A client that is slow to say what it wants is dropped: in the TLS handshake, before the first byte, and inside a
//! request's head. One that merely keeps a connection open is not, unless the server bounds idle connections.

mod activity;
mod connection;
mod head;
mod listener;
mod preface;
mod upgrade;

use std::{convert::Infallible, error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tower::Service;
use trilby_identity::{SpiffeId, handshake_failure, peer_id};

use crate::PeerIdentity;
use connection::Http;
use listener::Accepted;
pub use listener::Listener;

/// Bytes that a peer may send ahead of what was read of one stream. Enough for full speed at a
/// round trip of some milliseconds; what is not used takes no memory.
pub(crate) const STREAM_WINDOW: u32 = 1024 * 1024;

/// As [`STREAM_WINDOW`], for all streams of a connection together.
pub(crate) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// The pause after the machine refused to accept a connection, usually for want of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP without gRPC.
    Http1,
    /// gRPC.
    Http2,
    /// Webhooks, and gRPC beside other HTTP.
    Http1AndHttp2,
    /// The same, and a client in plain text may ask to go on in the other version (`Upgrade: h2c`).
    Http1AndH2c,
}

/// Limits of a server.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The server's name in logs.
    pub name: &'static str,
    /// What is spoken.
    pub protocols: Protocols,
    /// How long a client may take for the TLS handshake.
    pub handshake_timeout: Duration,
    /// How long a client may take for its first bytes, and for the rest of a request's head once it has begun.
    pub head_timeout: Duration,
    /// The largest head of a request in bytes; larger ones are answered with 431.
    pub max_head: usize,
    /// How many clients may be in their handshakes at once; further ones wait.
    pub max_handshakes: usize,
    /// How many connections may be open at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// How many requests one connection may have open at once; `None` is hyper's limit (200).
    pub max_streams: Option<u32>,
    /// How long a connection may be without any request; `None` for ever.
    pub max_idle: Option<Duration>,
    /// How often a silent client is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// How long it may take to answer.
    pub keepalive_timeout: Duration,
    /// How long open requests may take to end once the server shuts down.
    pub drain: Duration,
}

impl ServeConfig {
    /// Generous limits for a gRPC server.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            protocols: Protocols::Http2,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            max_head: 64 * 1024,
            max_handshakes: 256,
            max_connections: 16 * 1024,
            max_streams: Some(1024),
            max_idle: None,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves until `cancel`, then lets open requests end for at most `config.drain`.
///
/// Every request carries its [`PeerIdentity`]. With `tls`, whoever fails the handshake is refused; a unix socket
/// has no use for it.
///
/// `service` is a `tonic::service::Routes`, an `axum::Router` or anything alike.
pub async fn serve<S, B>(
    listener: impl Into<Listener>,
    tls: Option<Arc<ServerConfig>>,
    service: S,
    (config, cancel): (ServeConfig, CancellationToken),
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = listener.into();
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let server = Arc::new(Server {
        tls: tls.map(|tls| with_alpn(&tls, config.protocols)),
        handshakes: Semaphore::new(config.max_handshakes),
        http: Http::new(&config),
        service,
        cancel: cancel.clone(),
        config,
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_ended) = connections.join_next() => {}
            (slot, accepted) = accept(&listener, &slots) => {
                connections.spawn(Arc::clone(&server).connection(accepted, slot));
            }
        }
    }
    drop(listener);
    drain(connections, &server.config).await;
}

/// Waits for a free slot, then for a client.
async fn accept(listener: &Listener, slots: &Arc<Semaphore>) -> (OwnedSemaphorePermit, Accepted) {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok(accepted) => return (slot, accepted),
            Err(error) => {
                tracing::warn!(%error, "connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn drain(mut connections: JoinSet<()>, config: &ServeConfig) {
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(config.drain, ended).await.is_err() {
        tracing::info!(
            server = config.name,
            connections = connections.len(),
            "connections still open after the drain period are closed"
        );
        connections.shutdown().await;
    }
}

struct Server<S> {
    tls: Option<TlsAcceptor>,
    handshakes: Semaphore,
    http: Http,
    service: S,
    cancel: CancellationToken,
    config: ServeConfig,
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn connection(self: Arc<Self>, accepted: Accepted, slot: OwnedSemaphorePermit) {
        let _held_until_the_end = slot;
        let plain = |addr| PeerIdentity { spiffe: None, addr };
        match (accepted, &self.tls) {
            (Accepted::Unix(stream), _) => self.http(stream, plain(None)).await,
            (Accepted::Tcp(stream, addr), None) => self.http(stream, plain(Some(addr))).await,
            (Accepted::Tcp(stream, addr), Some(tls)) => self.over_tls(tls, stream, addr).await,
        }
    }

    async fn over_tls(&self, tls: &TlsAcceptor, stream: TcpStream, addr: SocketAddr) {
        match self.handshake(tls, stream).await {
            Ok((stream, spiffe)) => {
                let peer = PeerIdentity {
                    spiffe,
                    addr: Some(addr),
                };
                // Each future on the way to HTTP would keep a place for all of it.
                self.http(Box::new(stream), peer).await;
            }
            // Probes of open ports and clients that go away look like this; no one need act.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                tracing::debug!(server = self.config.name, peer = %addr, "client left during the TLS handshake");
            }
            Err(error) => {
                let reason = handshake_failure(&error);
                tracing::warn!(server = self.config.name, peer = %addr, reason, "TLS handshake refused");
            }
        }
    }

    async fn handshake(
        &self,
        tls: &TlsAcceptor,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<SpiffeId>)> {
        let _permit = self
            .handshakes
            .acquire()
            .await
            .expect("the semaphore is never closed");
        if has_left(&stream) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let stream = tokio::select! {
            () = self.cancel.cancelled() => return Err(io::ErrorKind::UnexpectedEof.into()),
            done = tokio::time::timeout(self.config.handshake_timeout, tls.accept(stream)) => {
                done.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake timed out"))??
            }
        };
        let certificates = stream.get_ref().1.peer_certificates();
        // The handshake has judged it, and refused a leaf without an identity.
        let spiffe = certificates
            .and_then(|chain| chain.first())
            .and_then(|leaf| peer_id(leaf).ok());
        Ok((stream, spiffe))
    }
}

/// Whether the client has closed its end. When thousands come back at once, those at the end of the queue give up and
/// try again: a handshake with who is gone would only make the others wait longer.
fn has_left(stream: &TcpStream) -> bool {
    let ready = stream.ready(Interest::READABLE).now_or_never();
    matches!(ready, Some(Ok(ready)) if ready.is_read_closed())
}

fn with_alpn(tls: &ServerConfig, protocols: Protocols) -> TlsAcceptor {
    let mut tls = tls.clone();
    tls.alpn_protocols = match protocols {
        Protocols::Http1 => vec![b"http/1.1".to_vec()],
        Protocols::Http2 => vec![b"h2".to_vec()],
        Protocols::Http1AndHttp2 | Protocols::Http1AndH2c => {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        }
    };
    TlsAcceptor::from(Arc::new(tls))
}

#[cfg(test)]
mod patience_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade_tests;
