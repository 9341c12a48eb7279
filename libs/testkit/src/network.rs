//! Reaching into a network namespace from a thread of the test.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;

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
        let stream = tokio::task::spawn_blocking(move || self.connect_blocking(address))
            .await
            .map_err(io::Error::other)??;
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }

    fn connect_blocking(self, address: SocketAddr) -> io::Result<std::net::TcpStream> {
        let Self::OfProcess(pid) = self else {
            return std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
        };
        // A thread that entered another namespace is of no use for anything else: it ends here.
        std::thread::spawn(move || {
            let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net"))?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
        })
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the connecting thread panicked")))
    }
}
