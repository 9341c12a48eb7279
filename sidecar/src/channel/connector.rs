//! Connections to the application: TCP, or TLS whose certificate is not verified (the application runs on
//! the same host or in the same pod, and upstream's users give it any certificate).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trilby_https::{Tls, Verification};

use super::CONNECT_LIMIT;

/// Connects to one address, whatever a request's address says.
#[derive(Clone)]
pub struct Connector {
    host: Arc<str>,
    port: u16,
    tls: Option<TlsConnector>,
}

/// A connection to the application.
pub enum AppIo {
    /// Without TLS.
    Plain(TokioIo<TcpStream>),
    /// To a proxy that takes requests for others.
    Forwarding(TokioIo<TcpStream>),
    /// With TLS.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connector {
    /// Without TLS.
    pub fn plain(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
        }
    }

    /// With TLS that trusts any certificate.
    pub fn tls(host: &str, port: u16) -> Self {
        let tls = Some(TlsConnector::from(trusting_anyone()));
        Self {
            host: host.into(),
            port,
            tls,
        }
    }

    /// Opens one connection.
    ///
    /// # Errors
    /// The application does not listen, or the handshake fails or takes too long.
    pub async fn connect(&self) -> io::Result<AppIo> {
        let connecting = async {
            let stream = TcpStream::connect((&*self.host, self.port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = &self.tls else {
                return Ok(AppIo::Plain(TokioIo::new(stream)));
            };
            let stream = tls.connect(self.server_name(), stream).await?;
            Ok(AppIo::Tls(Box::new(TokioIo::new(stream))))
        };
        tokio::time::timeout(CONNECT_LIMIT, connecting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn server_name(&self) -> ServerName<'static> {
        ServerName::try_from(self.host.to_string())
            .unwrap_or_else(|_| ServerName::try_from("localhost").expect("localhost is a DNS name"))
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Connector({}:{}, tls: {})",
            self.host,
            self.port,
            self.tls.is_some()
        )
    }
}

impl tower::Service<Uri> for Connector {
    type Response = AppIo;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<AppIo>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await })
    }
}

impl Connection for AppIo {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(io) if io.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Self::Forwarding(_) => Connected::new().proxy(true),
            _ => Connected::new(),
        }
    }
}

impl Read for AppIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) | Self::Forwarding(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl Write for AppIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) | Self::Forwarding(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) | Self::Forwarding(io) => Pin::new(io).poll_flush(context),
            Self::Tls(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) | Self::Forwarding(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) | Self::Forwarding(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) | Self::Forwarding(io) => {
                Pin::new(io).poll_write_vectored(context, buffers)
            }
            Self::Tls(io) => Pin::new(io).poll_write_vectored(context, buffers),
        }
    }
}

/// TLS towards the application: encrypted, and without a check of whom it is.
pub(super) fn trusting_anyone() -> Arc<ClientConfig> {
    let tls = Tls {
        verification: Verification::Nothing,
        ..Tls::default()
    };
    Arc::new(tls.config().expect("there is nothing to be read"))
}
