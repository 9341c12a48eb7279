//! A real Memcached.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use crate::eventually::eventually;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// A Memcached server; what it holds ends with its process.
#[derive(Debug)]
pub struct Memcached {
    port: Port,
    /// Of its command line.
    arguments: Vec<String>,
    process: Option<Process>,
    dir: StateDir,
}

impl Memcached {
    /// Starts one.
    ///
    /// # Panics
    /// If memcached is not installed or does not come up.
    pub async fn start() -> Self {
        Self::with_arguments(&[]).await
    }

    /// Starts one with more on its command line: `with_arguments(&["-I", "32m"])`.
    ///
    /// # Panics
    /// If memcached is not installed or does not come up.
    pub async fn with_arguments(arguments: &[&str]) -> Self {
        let mut memcached = Self::stopped();
        memcached.arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        memcached.resume().await;
        memcached
    }

    /// One that does not run yet: its address is known, and refuses connections until [`Memcached::resume`].
    pub fn stopped() -> Self {
        Self {
            port: Port::free(),
            arguments: Vec::new(),
            process: None,
            dir: StateDir::create("memcached"),
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

    /// Stops it; its data is lost.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("memcached runs");
        process.terminate().await;
    }

    /// Starts it on the same port, empty.
    ///
    /// # Panics
    /// If it runs already, is not installed, or does not come up.
    pub async fn resume(&mut self) {
        assert!(self.process.is_none(), "memcached already runs");
        let program = programs::system("memcached").unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        command
            // It refuses to run as root unless told as whom; where this is not root, it has no effect.
            .args(["-u", "nobody", "-l", "127.0.0.1", "-U", "0"])
            .args(["-p", &self.port.number().to_string()])
            .args(&self.arguments);
        let process = Process::spawn("memcached", command, self.log())
            .unwrap_or_else(|error| panic!("starting memcached: {error}"));
        self.process = Some(process);
        eventually("memcached answers", async || {
            self.exchange("version", 1).map(drop)
        })
        .await;
    }

    /// Sends one command, with its data if it has any, and gives this many lines of the answer:
    /// `command("get key", 3)`.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn command(&self, command: &str, lines: usize) -> Vec<String> {
        self.exchange(command, lines)
            .unwrap_or_else(|error| panic!("memcached {command}: {error}"))
    }

    fn exchange(&self, command: &str, lines: usize) -> std::io::Result<Vec<String>> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(crate::eventually::PATIENCE))?;
        write!(stream, "{command}\r\n")?;
        let mut answer = BufReader::new(stream).lines();
        let ended = || std::io::Error::other("it closed the connection");
        (0..lines)
            .map(|_| answer.next().unwrap_or_else(|| Err(ended())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_ends_with_a_stop() {
        let mut memcached = Memcached::start().await;
        let address = memcached.address();
        let stored = memcached.command("set key 0 0 5\r\nvalue", 1);
        assert_eq!(stored, ["STORED"]);
        let found = memcached.command("get key", 3);
        assert_eq!(found, ["VALUE key 0 5", "value", "END"]);
        memcached.stop().await;
        memcached.resume().await;
        assert_eq!(memcached.address(), address);
        assert_eq!(memcached.command("get key", 1), ["END"]);
    }
}
