//! Reaching into a network namespace from a thread of the test.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpStream};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which network a connection is made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The machine's own.
    Host,
    /// That of the process with this id.
    OfProcess(u32),
}

impl Network {
    /// Connects to an address of this network.
    ///
    /// # Errors
    /// If the network is gone or nobody accepts within 10 s.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = self
            .enter(move || std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT))
            .await?;
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }

    /// Listens on an address of this network.
    ///
    /// # Errors
    /// If the network is gone or the address is not free.
    pub async fn listen(self, address: SocketAddr) -> io::Result<TcpListener> {
        let listener = self
            .enter(move || std::net::TcpListener::bind(address))
            .await?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    /// What `open` gives in this network: a socket stays in the network that it was made in.
    async fn enter<T: Send + 'static>(
        self,
        open: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        tokio::task::spawn_blocking(move || self.enter_blocking(open))
            .await
            .map_err(io::Error::other)?
    }

    fn enter_blocking<T: Send + 'static>(
        self,
        open: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let Self::OfProcess(pid) = self else {
            return open();
        };
        // A thread that entered another namespace is of no use for anything else: it ends here.
        std::thread::spawn(move || {
            let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net"))?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            open()
        })
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread in the other network panicked")))
    }
}
