//! What stands between an operator and its API server, and can be shut.

use std::net::SocketAddr;

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use trilby_testkit::ApiServer;

/// A forwarder of TCP connections. Shut, it cuts those that are open and takes no other.
pub(crate) struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    forwarding: JoinHandle<()>,
}

impl Gate {
    /// An open gate before the API server.
    pub(crate) async fn before(api: &ApiServer) -> Self {
        let server = api.url().trim_start_matches("https://");
        let server: SocketAddr = server.parse().expect("it is on this machine");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it listens");
        let (open, is_open) = watch::channel(true);
        let forwarding = tokio::spawn(forward(listener, server, is_open));
        Self {
            address,
            open,
            forwarding,
        }
    }

    /// The text of a kubeconfig file that leads through it.
    pub(crate) fn kubeconfig(&self, api: &ApiServer, direct: &std::path::Path) -> String {
        let text = std::fs::read_to_string(direct).expect("a kubeconfig");
        let through = text.replace(api.url(), &format!("https://{}", self.address));
        assert_ne!(through, text, "the kubeconfig names its server");
        through
    }

    pub(crate) fn shut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

async fn forward(listener: TcpListener, server: SocketAddr, is_open: watch::Receiver<bool>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        if *is_open.borrow() {
            tokio::spawn(connection(client, server, is_open.clone()));
        }
    }
}

async fn connection(mut client: TcpStream, server: SocketAddr, mut is_open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        _ended = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _shut = is_open.wait_for(|open| !open) => {}
    }
}
