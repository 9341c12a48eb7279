//! A way to a port of a pod, also to one that the pod keeps to itself: `kubectl port-forward`.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, anyhow};
use tokio::net::TcpStream;
use trilby_testkit::Kube;
use trilby_testkit::eventually::{PATIENCE, try_within};
use trilby_testkit::http::Client;
use trilby_testkit::network::Network;
use trilby_testkit::process::{Log, Process};
use trilby_testkit::state_dir::StateDir;

/// An open way; dropped, it closes. A connection that the pod resets closes it, too.
#[derive(Debug)]
pub struct Forward {
    network: Network,
    address: SocketAddr,
    _process: Process,
    _dir: StateDir,
}

impl Forward {
    /// Opens a way to a port of `(namespace, "pod/name")`.
    ///
    /// # Errors
    /// If the pod is not there or not running.
    pub async fn open(kube: &Kube, (namespace, what): (&str, &str), port: u16) -> Result<Self> {
        let dir = StateDir::create("forward");
        let log = Log::at(dir.join("log"));
        let mut command = kube.command("kubectl")?;
        command.args(["port-forward", "-n", namespace, what, &format!(":{port}")]);
        let mut process = Process::spawn("port-forward", command.into_std(), log.clone())?;
        let local = try_within(PATIENCE, async || match local_port(&log.text()) {
            Some(port) => Ok(Ok(port)),
            None if process.exit_status().is_some() => Ok(Err(anyhow!(log.text()))),
            None => Err("it has not said on which port it listens"),
        })
        .await
        .map_err(|last| anyhow!(last))
        .flatten()
        .with_context(|| format!("forwarding to port {port} of {what}"))?;
        Ok(Self {
            network: kube.network(),
            address: (Ipv4Addr::LOCALHOST, local).into(),
            _process: process,
            _dir: dir,
        })
    }

    /// Connects.
    ///
    /// # Errors
    /// If the way has closed.
    pub async fn connect(&self) -> Result<TcpStream> {
        let connection = self.network.connect(self.address).await;
        connection.context("the forwarded port does not answer")
    }

    /// What makes HTTP requests this way, to URLs that [`Forward::url`] gives.
    pub fn http(&self) -> Client {
        Client::within(self.network)
    }

    /// The URL of a path behind this way.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// From the line `Forwarding from 127.0.0.1:40123 -> 3500`.
fn local_port(printed: &str) -> Option<u16> {
    let (_, rest) = printed.split_once("Forwarding from 127.0.0.1:")?;
    rest.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_port_is_read_from_the_first_line() {
        let printed =
            "Forwarding from 127.0.0.1:40123 -> 3500\nForwarding from [::1]:40123 -> 3500\n";
        assert_eq!(local_port(printed), Some(40123));
        assert_eq!(local_port("Forwarding from 127.0.0.1:401"), None);
        assert_eq!(local_port("error: pod not found"), None);
    }
}
