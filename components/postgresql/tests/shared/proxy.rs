//! A way to a server that can be held up.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Carries connections to a server, until it is dropped.
pub(crate) struct Proxy {
    address: std::net::SocketAddr,
    state: watch::Sender<Way>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Connections are taken, and nothing goes over them.
    HeldUp,
}

impl Proxy {
    pub(crate) async fn to(server: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, way) = watch::channel(Way::Open);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
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

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// Holds up everything, also on connections that are there.
    pub(crate) fn hold_up(&self) {
        self.state.send_replace(Way::HeldUp);
    }

    pub(crate) fn open(&self) {
        self.state.send_replace(Way::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, server: std::net::SocketAddr, mut way: watch::Receiver<Way>) {
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
