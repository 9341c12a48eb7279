//! A real RabbitMQ, with an `epmd` of its own.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::server::{SHUTDOWN, Server, answer};
use crate::ca::Authority;
use crate::eventually::within;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;

/// Where Debian keeps the scripts that need no user of their own.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
/// How long a start may take on a machine that has much else to do: alone it takes 7 s.
const START: Duration = Duration::from_secs(180);

/// A RabbitMQ server; its data lives as long as this value, also while it is stopped.
#[derive(Debug)]
pub struct RabbitMq {
    server: Server,
    /// Where nodes of Erlang find each other; one for each server, so that none is left behind.
    names: Port,
    names_process: Option<Process>,
    distribution: Port,
    /// How it listens.
    listener: String,
}

impl RabbitMq {
    /// Starts one whose user `guest` has the password `guest`.
    ///
    /// # Panics
    /// If rabbitmq-server is not installed or does not come up.
    pub async fn start() -> Self {
        let mut rabbit = Self::stopped();
        rabbit.resume().await;
        rabbit
    }

    /// One that does not run yet: its address is known, and refuses connections until [`RabbitMq::resume`].
    pub fn stopped() -> Self {
        let server = Server::stopped("rabbitmq");
        Self {
            listener: format!("listeners.tcp.1 = {}\n", server.address()),
            server,
            names: Port::free(),
            names_process: None,
            distribution: Port::free(),
        }
    }

    /// Starts one that speaks TLS only, asks for a certificate of `authority`, and takes its common name for the user
    /// of who logs in by `EXTERNAL`.
    ///
    /// # Panics
    /// As [`RabbitMq::start`].
    pub async fn with_tls(authority: &Authority) -> Self {
        let mut rabbit = Self::stopped();
        let own = authority.server(&["127.0.0.1"]);
        let mut listener = format!(
            "listeners.tcp = none\nlisteners.ssl.1 = {}\n",
            rabbit.address()
        );
        for (option, pem) in [
            ("cacertfile", authority.certificate()),
            ("certfile", own.certificate),
            ("keyfile", own.key),
        ] {
            let path = rabbit.server.path().join(option);
            fs::write(&path, pem).expect("the directory is writable");
            listener += &format!("ssl_options.{option} = {}\n", path.display());
        }
        listener += "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n\
                     ssl_cert_login_from = common_name\n\
                     auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = EXTERNAL\n";
        rabbit.listener = listener;
        let plugins = rabbit.server.path().join("plugins");
        fs::write(plugins, "[rabbitmq_auth_mechanism_ssl].\n").expect("the directory is writable");
        rabbit.resume().await;
        rabbit
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its address as its user `guest` says it.
    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@{}", self.address())
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        self.server.log()
    }

    /// Stops it; what is durable is kept.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) {
        self.server.end(Signal::TERM).await;
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn crash(&mut self) {
        self.server.end(Signal::KILL).await;
    }

    /// Lets it do nothing from now on: connections stay, nobody answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&mut self) {
        let process = self.server.process().expect("rabbitmq runs");
        process.signal(Signal::STOP);
    }

    /// Lets it go on where it was.
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&mut self) {
        let process = self.server.process().expect("rabbitmq runs");
        process.signal(Signal::CONT);
    }

    /// Starts it on the same port, with the data it had.
    ///
    /// # Panics
    /// If it runs already, is not installed, or does not come up.
    pub async fn resume(&mut self) {
        self.start_names().await;
        let config = self.server.path().join("rabbitmq.conf");
        let listen = format!("{}loopback_users = none\n", self.listener);
        fs::write(config, listen).expect("the directory is writable");
        let mut command = self.command("rabbitmq-server");
        // As under systemd: the program itself instead of a shell around it, so that signals reach it.
        command
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1");
        self.server.spawn(command);
        // It listens last, when all it knew is there again.
        within(START, "rabbitmq accepts connections", async || {
            TcpStream::connect(self.address()).map(drop)
        })
        .await;
    }

    async fn start_names(&mut self) {
        if self.names_process.is_some() {
            return;
        }
        let program = programs::system("epmd").unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        command
            .args(["-port", &self.names.number().to_string()])
            .env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let log = Log::at(self.server.path().join("epmd.log"));
        let process = Process::spawn("epmd", command, log)
            .unwrap_or_else(|error| panic!("starting epmd: {error}"));
        self.names_process = Some(process);
        within(SHUTDOWN, "epmd answers", async || {
            TcpStream::connect(self.names.address()).map(drop)
        })
        .await;
    }

    /// Runs `rabbitmqctl` with these words and gives what it prints.
    ///
    /// # Panics
    /// If it fails.
    pub fn control(&self, words: &[&str]) -> String {
        let mut command = self.command("rabbitmqctl");
        command.arg("--quiet").args(words);
        answer(command).unwrap_or_else(|error| panic!("rabbitmqctl {words:?}: {error}"))
    }

    fn command(&self, script: &str) -> Command {
        let program = PathBuf::from(SCRIPTS).join(script);
        let path = self.server.path();
        let mut command = Command::new(program);
        command
            .env(
                "RABBITMQ_NODENAME",
                format!("t{}@localhost", self.server.port()),
            )
            .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq"))
            .env("RABBITMQ_MNESIA_BASE", path.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", path.join("log.d"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("plugins"))
            .env("RABBITMQ_DIST_PORT", self.distribution.number().to_string())
            .env("ERL_EPMD_PORT", self.names.number().to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("HOME", path)
            .current_dir(path);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn users_outlive_a_stop_and_a_crash() {
        let mut rabbit = RabbitMq::start().await;
        rabbit.control(&["add_user", "somebody", "secret"]);
        let address = rabbit.address();
        rabbit.stop().await;
        rabbit.resume().await;
        rabbit.crash().await;
        rabbit.resume().await;
        assert_eq!(rabbit.address(), address);
        assert!(rabbit.control(&["list_users"]).contains("somebody"));
    }
}
