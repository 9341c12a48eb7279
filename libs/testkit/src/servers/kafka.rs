//! A real Kafka: one node that is broker and controller.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpStream;

use super::server::Server;
use crate::eventually::within;
use crate::ports::Port;
use crate::process::Log;
use crate::programs;

/// A large Java program: 3 s alone on two cores, more than a minute beside many compilers.
const STARTUP_LIMIT: Duration = Duration::from_secs(300);

/// The user that [`Kafka::sasl`] asks for, with PLAIN and both kinds of SCRAM.
pub const USER: (&str, &str) = ("alice", "secret");

/// A Kafka server; its data lives as long as this value, also while it is stopped.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    controller: Port,
    sasl: Port,
    partitions: u32,
}

impl Kafka {
    /// Starts one whose topics begin with their first use, with one partition each.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn start() -> Self {
        Self::with_partitions(1).await
    }

    /// Starts one whose topics begin with their first use, with so many partitions.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn with_partitions(partitions: u32) -> Self {
        let mut kafka = Self {
            server: Server::stopped("kafka"),
            controller: Port::free(),
            sasl: Port::free(),
            partitions,
        };
        kafka.resume().await;
        kafka
    }

    /// Where it listens and asks nobody who he is.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where it asks for [`USER`].
    pub fn sasl(&self) -> SocketAddr {
        self.sasl.address()
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        self.server.log()
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn crash(&mut self) {
        self.server.end(Signal::KILL).await;
    }

    /// Starts it on the same ports, with the data it had.
    ///
    /// # Panics
    /// If it runs already, is not installed, or does not come up.
    pub async fn resume(&mut self) {
        let properties = self.server.path().join("server.properties");
        fs::write(&properties, self.properties()).expect("the directory is writable");
        let program = programs::peer("servers/kafka").unwrap_or_else(|error| panic!("{error:#}"));
        let (name, password) = USER;
        let users = ["SCRAM-SHA-256", "SCRAM-SHA-512"]
            .map(|mechanism| format!("--add-scram {mechanism}=[name={name},password={password}]"));
        let mut command = Command::new(program);
        command.arg(properties).env("USERS", users.join(" "));
        self.server.spawn(command);
        let address = self.address();
        within(STARTUP_LIMIT, "kafka listens", async || {
            TcpStream::connect(address).await.map(drop)
        })
        .await;
    }

    fn properties(&self) -> String {
        let (plain, sasl) = (self.address(), self.sasl());
        let controller = self.controller.address();
        let (name, password) = USER;
        let module = "org.apache.kafka.common.security";
        let data = self.server.path().join("data");
        let mut text = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@{controller}\n\
             listeners=PLAINTEXT://{plain},CONTROLLER://{controller},SASL_PLAINTEXT://{sasl}\n\
             advertised.listeners=PLAINTEXT://{plain},SASL_PLAINTEXT://{sasl}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\n\
             log.dirs={data}\n\
             num.partitions={partitions}\n\
             group.initial.rebalance.delay.ms=0\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.sasl_plaintext.plain.sasl.jaas.config={module}.plain.PlainLoginModule \
             required user_{name}=\"{password}\";\n",
            data = data.display(),
            partitions = self.partitions,
        );
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            let line = writeln!(
                text,
                "listener.name.sasl_plaintext.{mechanism}.sasl.jaas.config={module}.scram.ScramLoginModule required;"
            );
            line.expect("a string takes text");
        }
        // One node has no replicas.
        for topic in ["offsets.topic", "transaction.state.log"] {
            text += &format!("{topic}.replication.factor=1\n{topic}.num.partitions=1\n");
        }
        text += "transaction.state.log.min.isr=1\n\
                 share.coordinator.state.topic.replication.factor=1\n\
                 share.coordinator.state.topic.min.isr=1\n";
        text
    }
}
