//! One accept loop for every server: TLS by SPIFFE rules or none, tonic's services or axum's.

use std::{convert::Infallible, error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};
use trilby_identity::{SpiffeId, handshake_failure, peer_id};

use crate::PeerIdentity;

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
    /// gRPC.
    Http2,
    /// Webhooks, and gRPC beside other HTTP.
    Http1AndHttp2,
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
    /// How many clients may be in their handshakes at once; further ones wait.
    pub max_handshakes: usize,
    /// How many connections may be open at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// How many requests one connection may have open at once; `None` is hyper's limit (200).
    pub max_streams: Option<u32>,
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
            max_handshakes: 256,
            max_connections: 16 * 1024,
            max_streams: Some(1024),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves until `cancel`, then lets open requests end for at most `config.drain`.
///
/// Every request carries its [`PeerIdentity`]. With `tls`, whoever fails the handshake is refused.
///
/// `service` is a `tonic::service::Routes`, an `axum::Router` or anything alike.
pub async fn serve<S, B>(
    listener: TcpListener,
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
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let server = Arc::new(Server {
        tls: tls.map(|tls| with_alpn(&tls, config.protocols)),
        handshakes: Semaphore::new(config.max_handshakes),
        http: http_builder(&config),
        service,
        cancel: cancel.clone(),
        config,
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_ended) = connections.join_next() => {}
            (slot, stream, addr) = accept(&listener, &slots) => {
                connections.spawn(Arc::clone(&server).connection(stream, addr, slot));
            }
        }
    }
    drop(listener);
    drain(connections, &server.config).await;
}

/// Waits for a free slot, then for a client.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, TcpStream, SocketAddr) {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => return (slot, stream, addr),
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
    http: auto::Builder<TokioExecutor>,
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
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        addr: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) {
        let _held_until_the_end = slot;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, peer = %addr, "TCP_NODELAY could not be set");
        }
        let Some(tls) = &self.tls else {
            let peer = PeerIdentity { spiffe: None, addr };
            return self.http(stream, peer).await;
        };
        match self.handshake(tls, stream).await {
            Ok((stream, spiffe)) => self.http(stream, PeerIdentity { spiffe, addr }).await,
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

    async fn http<I>(&self, stream: I, peer: PeerIdentity)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let addr = peer.addr;
        let service = self
            .service
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer.clone());
                request
            });
        let service = TowerToHyperService::new(service);
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.cancel.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(server = self.config.name, peer = %addr, error, "connection ended");
        }
    }
}

fn http_builder(config: &ServeConfig) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(config.max_streams)
        .keep_alive_interval(config.keepalive_interval)
        .keep_alive_timeout(config.keepalive_timeout);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.handshake_timeout);
    match config.protocols {
        Protocols::Http2 => builder.http2_only(),
        Protocols::Http1AndHttp2 => builder,
    }
}

fn with_alpn(tls: &ServerConfig, protocols: Protocols) -> TlsAcceptor {
    let mut tls = tls.clone();
    tls.alpn_protocols = match protocols {
        Protocols::Http2 => vec![b"h2".to_vec()],
        Protocols::Http1AndHttp2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    TlsAcceptor::from(Arc::new(tls))
}

#[cfg(test)]
mod tests;
