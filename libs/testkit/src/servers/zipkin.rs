//! A real Zipkin.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::eventually::within;
use crate::http::Client;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// A large Java program: 6 s alone on two cores, more than a minute beside many compilers.
const STARTUP_LIMIT: Duration = Duration::from_secs(300);

/// A Zipkin server that keeps spans in memory.
#[derive(Debug)]
pub struct Zipkin {
    port: Port,
    _process: Process,
    _dir: StateDir,
}

impl Zipkin {
    /// Starts one, which takes some seconds.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn start() -> Self {
        let (port, dir) = (Port::free(), StateDir::create("zipkin"));
        let program = programs::peer("servers/zipkin").unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        command.arg(port.number().to_string());
        let process = Process::spawn("zipkin", command, Log::at(dir.join("log")))
            .unwrap_or_else(|error| panic!("starting zipkin: {error}"));
        let health = format!("http://{}/health", port.address());
        within(STARTUP_LIMIT, "zipkin is healthy", async || {
            Client::host().get(&health).await?.success().map(drop)
        })
        .await;
        Self {
            port,
            _process: process,
            _dir: dir,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The spans of a trace, in Zipkin's JSON.
    ///
    /// # Errors
    /// If it does not answer, or has none.
    pub async fn trace(&self, id: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let url = format!("http://{}/api/v2/trace/{id}", self.port.address());
        let answer = Client::host().get(&url).await?;
        Ok(serde_json::from_slice(&answer.success()?.body)?)
    }
}
