//! A real Consul: one agent, which is its whole cluster.

use std::net::SocketAddr;
use std::process::Command;

use crate::eventually::eventually;
use crate::http::Client;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// An agent; what it knows ends with its process.
#[derive(Debug)]
pub struct Consul {
    http: Port,
    /// For its one member, and for itself.
    gossip: Port,
    server: Port,
    process: Option<Process>,
    dir: StateDir,
}

impl Consul {
    /// Starts one.
    ///
    /// # Panics
    /// If Consul is not built or does not come up.
    pub async fn start() -> Self {
        let mut consul = Self::stopped();
        consul.resume().await;
        consul
    }

    /// One that does not run yet: its address is known, and refuses connections until [`Consul::resume`].
    pub fn stopped() -> Self {
        Self {
            http: Port::free(),
            gossip: Port::free(),
            server: Port::free(),
            process: None,
            dir: StateDir::create("consul"),
        }
    }

    /// Where its HTTP API listens.
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        Log::at(self.dir.join("log"))
    }

    /// Ends it at once.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("consul runs");
        process.kill().await;
    }

    /// Starts it on the same port, knowing nothing.
    ///
    /// # Panics
    /// If it runs already, is not built, or does not come up.
    pub async fn resume(&mut self) {
        assert!(self.process.is_none(), "consul already runs");
        let program = programs::consul().unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        command
            .args(["agent", "-dev", "-disable-host-node-id"])
            .args(["-client", "127.0.0.1", "-bind", "127.0.0.1"])
            .args([
                "-dns-port",
                "-1",
                "-grpc-port",
                "-1",
                "-serf-wan-port",
                "-1",
            ])
            .args(["-http-port", &self.http.number().to_string()])
            .args(["-serf-lan-port", &self.gossip.number().to_string()])
            .args(["-server-port", &self.server.number().to_string()])
            .args(["-log-level", "warn"]);
        let process = Process::spawn("consul", command, self.log())
            .unwrap_or_else(|error| panic!("starting consul: {error}"));
        self.process = Some(process);
        let url = format!("http://{}/v1/status/leader", self.address());
        eventually("consul has a leader", async || {
            let answer = Client::host().get(&url).await;
            let answer = answer.map_err(|error| error.to_string())?;
            match answer.text() {
                text if answer.status.is_success() && text.len() > 2 => Ok(()),
                text => Err(text.to_owned()),
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_knows_ends_with_its_process() {
        let mut consul = Consul::start().await;
        let url = format!("http://{}/v1/kv/a", consul.address());
        let put = Client::host().put(&url, "b").await.unwrap();
        assert_eq!(put.text().trim_end(), "true");
        let address = consul.address();
        consul.stop().await;
        consul.resume().await;
        assert_eq!(consul.address(), address);
        assert_eq!(Client::host().get(&url).await.unwrap().status, 404);
    }
}
