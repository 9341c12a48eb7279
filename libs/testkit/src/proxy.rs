//! A way to a server that can be held up, as by a network that lost it.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A way to a server; it ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<Way>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Connections are taken, and nothing goes over them.
    HeldUp,
}

impl Proxy {
    /// A way that is open.
    ///
    /// # Panics
    /// If there is no port to listen on.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (state, way) = watch::channel(Way::Open);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, server, way.clone()));
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds up everything, also on connections that are there.
    pub fn hold_up(&self) {
        self.state.send_replace(Way::HeldUp);
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.state.send_replace(Way::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, mut way: watch::Receiver<Way>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    loop {
        if way.wait_for(|way| *way == Way::Open).await.is_err() {
            return;
        }
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            held = way.wait_for(|way| *way == Way::HeldUp) => {
                if held.is_err() {
                    return;
                }
            }
        }
    }
}
