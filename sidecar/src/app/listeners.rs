//! The sidecar's open sockets.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::net::TcpListener;
use trilby_grpc::Listener;

use crate::config::Config;
use crate::listen::{self, SocketFile};

/// All of them.
pub(super) struct Listeners {
    pub(super) http: Vec<Socket>,
    pub(super) grpc: Vec<Socket>,
    pub(super) public: Vec<Socket>,
    pub(super) internal: Socket,
}

/// One of them; a unix socket with its file.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(tokio::net::UnixListener, SocketFile),
}

impl Listeners {
    /// Opens the sockets of the APIs; that for other sidecars is open already.
    ///
    /// # Errors
    /// A port is taken, or a socket's file cannot be made.
    pub(super) async fn open(config: &Config, internal: TcpListener) -> anyhow::Result<Self> {
        let servers = &config.servers;
        let public = match servers.public_port {
            Some(port) => tcp(std::slice::from_ref(&servers.public_address), port)
                .await
                .context("public port")?,
            None => Vec::new(),
        };
        let (http, grpc) = match &servers.unix_sockets {
            Some(folder) => {
                let unix = |api| -> anyhow::Result<Vec<Socket>> {
                    let (listener, file) = listen::listen_unix(folder, &config.app_id, api)
                        .context("unix-domain-socket")?;
                    Ok(vec![Socket::Unix(listener, file)])
                };
                (unix("http")?, unix("grpc")?)
            }
            None => (
                tcp(&servers.addresses, servers.http_port)
                    .await
                    .context("HTTP port")?,
                tcp(&servers.addresses, servers.grpc_port)
                    .await
                    .context("gRPC port")?,
            ),
        };
        Ok(Self {
            http,
            grpc,
            public,
            internal: Socket::Tcp(internal),
        })
    }
}

/// Opens the socket for other sidecars, before anything else could take its port.
///
/// # Errors
/// The port that was asked for is taken.
pub(super) fn reserve(config: &Config) -> anyhow::Result<TcpListener> {
    let servers = &config.servers;
    listen::listen_internal(
        &servers.internal_address,
        servers.internal_port,
        &config.app_id,
    )
    .context("internal gRPC port")
}

async fn tcp(addresses: &[String], port: u16) -> std::io::Result<Vec<Socket>> {
    let listeners = listen::listen_all(addresses, port).await?;
    Ok(listeners.into_iter().map(Socket::Tcp).collect())
}

/// The address of a listening TCP socket.
pub(super) fn address_of(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .expect("a listening socket has an address")
}

impl Socket {
    /// The TCP address; unspecified for a unix socket, which has none.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Tcp(listener) => address_of(listener),
            Self::Unix(..) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        }
    }

    /// What is served, and the file to keep until it is no more.
    pub(super) fn into_parts(self) -> (Listener, Option<SocketFile>) {
        match self {
            Self::Tcp(listener) => (listener.into(), None),
            Self::Unix(listener, file) => (listener.into(), Some(file)),
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => write!(f, "{}", address_of(listener)),
            Self::Unix(_, file) => write!(f, "{}", file.path().display()),
        }
    }
}
