//! A server of MongoDB's protocol, a replica set of one member: MongoDB itself is in no registry.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// The replica set that it says it is.
pub const REPLICA_SET: &str = "secantus";

/// A server; its data lives as long as this value, also while it is stopped.
#[derive(Debug)]
pub struct MongoDb {
    port: Port,
    /// Of its command line.
    arguments: Vec<String>,
    process: Option<Process>,
    dir: StateDir,
}

impl MongoDb {
    /// Starts one that trusts everybody.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn start() -> Self {
        let mut server = Self::stopped();
        server.resume().await;
        server
    }

    /// Starts one that asks for this login, whose user may do everything.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn with_login(user: &str, password: &str) -> Self {
        let mut server = Self::start().await;
        let create = json!({"createUser": user, "pwd": password, "roles": ["root"]});
        server.command("admin", &create);
        server.stop().await;
        server.arguments.push("--auth".to_owned());
        server.process = Some(server.spawn());
        let address = server.address();
        eventually("the server listens", async || {
            tokio::net::TcpStream::connect(address).await.map(drop)
        })
        .await;
        server
    }

    /// One that does not run yet: its address is known, and refuses connections until [`MongoDb::resume`].
    pub fn stopped() -> Self {
        Self {
            port: Port::free(),
            arguments: Vec::new(),
            process: None,
            dir: StateDir::create("mongodb"),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        Log::at(self.dir.join("log"))
    }

    /// Stops it; its data is saved.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.terminate().await;
    }

    /// Starts it on the same port, with the data it had.
    ///
    /// # Panics
    /// If it runs already, is not installed, or does not come up.
    pub async fn resume(&mut self) {
        assert!(self.process.is_none(), "the server already runs");
        self.process = Some(self.spawn());
        eventually("the server answers", async || {
            self.try_command("admin", &json!({"ping": 1})).map(drop)
        })
        .await;
    }

    fn spawn(&self) -> Process {
        let mut command = run();
        command
            .args(["serve", &self.port.number().to_string()])
            .arg(self.dir.join("data"))
            .args(&self.arguments);
        Process::spawn("mongodb", command, self.log())
            .unwrap_or_else(|error| panic!("starting a server of MongoDB's protocol: {error}"))
    }

    /// Carries out a command and gives its answer, both in extended JSON.
    ///
    /// # Panics
    /// If it fails.
    pub fn command(&self, database: &str, command: &Value) -> Value {
        self.try_command(database, command)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_command(&self, database: &str, command: &Value) -> Result<Value, String> {
        let output = run()
            .args(["command", &self.port.number().to_string(), database])
            .arg(command.to_string())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }
}

fn run() -> Command {
    let program = programs::peer("servers/mongodb").unwrap_or_else(|error| panic!("{error:#}"));
    Command::new(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_outlives_a_stop() {
        let mut server = MongoDb::start().await;
        let insert = json!({"insert": "c", "documents": [{"_id": "a", "b": 1}]});
        server.command("d", &insert);
        let address = server.address();
        server.stop().await;
        server.resume().await;
        assert_eq!(server.address(), address);
        let found = server.command("d", &json!({"find": "c", "filter": {}}));
        assert_eq!(found["cursor"]["firstBatch"], json!([{"_id": "a", "b": 1}]));
    }
}
