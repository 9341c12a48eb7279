//! A real Redis: one server, a [cluster] or [sentinels](sentinel) around a master.

pub mod cluster;
pub mod sentinel;

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use super::server::{Server, answer};
use crate::eventually::eventually;
use crate::process::Log;
use crate::programs;

/// A Redis server; its data lives as long as this value, also while it is stopped.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    password: Option<String>,
    program: Program,
    /// More than it takes to start one.
    arguments: Vec<String>,
}

/// What is started.
#[derive(Debug, Clone, Copy)]
enum Program {
    /// Debian's.
    Redis,
    /// One of Redis' protocol with the modules for JSON and search, which Debian's is too old for.
    WithModules,
}

impl Program {
    fn command(self) -> Command {
        let program = match self {
            Self::Redis => programs::system("redis-server"),
            Self::WithModules => programs::peer("servers/redis-modules"),
        };
        Command::new(program.unwrap_or_else(|error| panic!("{error:#}")))
    }
}

impl Redis {
    /// Starts one that asks for no password.
    ///
    /// # Panics
    /// If redis-server is not installed or does not come up.
    pub async fn start() -> Self {
        let mut redis = Self::stopped();
        redis.resume().await;
        redis
    }

    /// Starts one that asks for this password.
    ///
    /// # Panics
    /// If redis-server is not installed or does not come up.
    pub async fn with_password(password: &str) -> Self {
        let mut redis = Self::stopped();
        redis.password = Some(password.to_owned());
        redis.resume().await;
        redis
    }

    /// Starts one that has JSON documents, and searches them.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn with_modules() -> Self {
        let mut redis = Self::stopped();
        redis.program = Program::WithModules;
        redis.resume().await;
        redis
    }

    /// One that does not run yet: its address is known, and refuses connections until [`Redis::resume`].
    pub fn stopped() -> Self {
        Self {
            server: Server::stopped("redis"),
            password: None,
            program: Program::Redis,
            arguments: Vec::new(),
        }
    }

    /// Starts one with these arguments as well.
    ///
    /// # Panics
    /// If redis-server is not installed or does not come up.
    pub async fn with(arguments: &[&str]) -> Self {
        let mut redis = Self::stopped();
        redis.arguments = arguments.iter().map(ToString::to_string).collect();
        redis.resume().await;
        redis
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        self.server.log()
    }

    /// Stops it; its data is saved.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) {
        self.server.end(Signal::TERM).await;
    }

    /// Ends it as a crash would: what it did not write down is lost.
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
        let process = self.server.process().expect("redis runs");
        process.signal(Signal::STOP);
    }

    /// Lets it go on where it was.
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&mut self) {
        let process = self.server.process().expect("redis runs");
        process.signal(Signal::CONT);
    }

    /// Starts it on the same port, with the data it had.
    ///
    /// # Panics
    /// If it runs already, is not installed, or does not come up.
    pub async fn resume(&mut self) {
        let mut command = self.program.command();
        command
            .args(["--bind", "127.0.0.1", "--port", &self.server.port()])
            // A save point is what makes it write its data on SIGTERM.
            .args(["--save", "3600 1"])
            .arg("--dir")
            .arg(self.server.path())
            .args(&self.arguments);
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        self.server.spawn(command);
        eventually("redis answers", async || {
            match self.try_command(&["PING"]).as_deref() {
                Ok("PONG") => Ok(()),
                Ok(other) => Err(other.to_owned()),
                Err(error) => Err(error.clone()),
            }
        })
        .await;
    }

    /// From now on it asks for this password; connections that are up stay.
    ///
    /// # Panics
    /// If it does not run.
    pub fn change_password(&mut self, password: &str) {
        self.command(&["CONFIG", "SET", "requirepass", password]);
        self.password = Some(password.to_owned());
    }

    /// Runs one command and gives what `redis-cli` prints: `command(&["HGETALL", "app||key"])`.
    ///
    /// # Panics
    /// If it fails.
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words)
            .unwrap_or_else(|error| panic!("redis {words:?}: {error}"))
    }

    fn try_command(&self, words: &[&str]) -> Result<String, String> {
        self.at(self.address(), words)
    }

    /// Runs a command at another server that has this one's password.
    fn at(&self, server: SocketAddr, words: &[&str]) -> Result<String, String> {
        let program = programs::system("redis-cli").map_err(|error| format!("{error:#}"))?;
        let mut command = Command::new(program);
        command
            .args(["-h", "127.0.0.1", "-e", "-p", &server.port().to_string()])
            .args(words);
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        answer(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_outlives_a_stop() {
        let mut redis = Redis::start().await;
        redis.command(&["SET", "key", "value"]);
        let address = redis.address();
        redis.stop().await;
        redis.resume().await;
        assert_eq!(redis.address(), address);
        assert_eq!(redis.command(&["GET", "key"]), "value");
    }

    #[tokio::test]
    async fn modules_keep_documents_and_find_them() {
        let redis = Redis::with_modules().await;
        redis.command(&["JSON.SET", "key", "$", r#"{"a":1}"#]);
        assert_eq!(redis.command(&["JSON.GET", "key", ".a"]), "1");
        redis.command(&["FT.CREATE", "i", "ON", "JSON", "SCHEMA", "$.a", "NUMERIC"]);
    }

    #[tokio::test]
    async fn a_changed_password_is_asked_for() {
        let mut redis = Redis::with_password("old").await;
        redis.change_password("new");
        assert_eq!(redis.command(&["PING"]), "PONG");
        redis.password = Some("old".to_owned());
        assert!(redis.try_command(&["PING"]).is_err());
    }
}
