//! Our own programs as processes of a test, on ports of their own.
//!
//! A service is made first and started later, so that its address can be given to others before it runs:
//!
//! ```no_run
//! # use trilby_testkit::services::{Daprd, Operator, Sentry};
//! # async fn test() {
//! let mut sentry = Sentry::new();
//! let operator = Operator::new().arg("--sentry-address", sentry.grpc_address());
//! sentry.start().await;
//! # let mut daprd = Daprd::new("app");
//! daprd.launch(); // does not wait until it is healthy
//! daprd.log().wait_for("waiting for sentry").await;
//! daprd.healthy().await;
//! daprd.stop().await;
//! daprd.start().await; // on the same ports
//! # }
//! ```

mod daprd;
mod injector;
mod operator;
mod placement;
mod sentry;
mod usage;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

pub use self::daprd::Daprd;
pub use self::injector::Injector;
pub use self::operator::Operator;
pub use self::placement::Placement;
pub use self::sentry::Sentry;
pub use self::usage::Memory;
use crate::eventually::{PATIENCE, try_within};
use crate::http::Client;
use crate::lan::{self, Place};
use crate::network::Network;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// One of our programs, started or not. `P` holds the ports that only this program has.
///
/// Its environment is empty but for `PATH`, `HOME` and what [`Service::env`] adds.
#[derive(Debug)]
pub struct Service<P> {
    program: &'static str,
    binary: Option<PathBuf>,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    health_url: String,
    health: Port,
    metrics: Port,
    ports: P,
    place: Place,
    process: Option<Process>,
    dir: StateDir,
}

impl<P> Service<P> {
    fn named(program: &'static str, ports: P) -> Self {
        let (health, metrics) = (Port::free(), Port::free());
        let service = Self {
            program,
            binary: None,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            health_url: format!("http://{}/healthz", health.address()),
            health,
            metrics,
            ports,
            place: Place::LOOPBACK,
            process: None,
            dir: StateDir::create(program),
        };
        let path = std::env::var("PATH").unwrap_or_default();
        let home = service.dir.path().display().to_string();
        service.env("PATH", path).env("HOME", home)
    }

    /// The flags that the services of the control plane share. They listen on loopback only.
    fn control_plane(program: &'static str, ports: P) -> Self {
        let service = Self::named(program, ports);
        let (health, metrics) = (service.health.number(), service.metrics.number());
        service
            .arg("--listen-address", "127.0.0.1")
            .arg("--healthz-port", health)
            .arg("--healthz-listen-address", "127.0.0.1")
            .arg("--metrics-port", metrics)
            .arg("--metrics-listen-address", "127.0.0.1")
            // In a container they refuse to run as root; a test may well be root.
            .env("DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK", "true")
    }

    /// Runs this file instead of our own build, for instance another implementation in a benchmark.
    #[must_use]
    pub fn binary(mut self, path: PathBuf) -> Self {
        self.binary = Some(path);
        self
    }

    /// Adds a flag with a value; a later one wins over an earlier one of the same name.
    #[must_use]
    pub fn arg(mut self, flag: &str, value: impl ToString) -> Self {
        let flag_with_equals = format!("{flag}=");
        self.arguments
            .retain(|argument| !argument.starts_with(&flag_with_equals));
        self.arguments.push(flag_with_equals + &value.to_string());
        self
    }

    /// Adds an argument as it is, for instance a flag without a value.
    #[must_use]
    pub fn raw_arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// A file in its directory, written now; gives the path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, content)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Starts it and waits until it is healthy.
    ///
    /// # Panics
    /// If it is not built, already runs, ends, or is not healthy in time; the message has its log's end.
    pub async fn start(&mut self) {
        self.launch();
        self.healthy().await;
    }

    /// Starts it and waits for nothing.
    ///
    /// # Panics
    /// If it is not built or already runs.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "{} already runs", self.program);
        let program = self
            .binary
            .clone()
            .map_or_else(|| programs::product(self.program), Ok);
        let program = program.unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = match self.place.network {
            Network::Host => Command::new(program),
            Network::OfProcess(pid) => {
                let mut command = lan::within(pid);
                command.arg(program);
                command
            }
        };
        command
            .args(&self.arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(&self.environment);
        let process = Process::spawn(self.program, command, self.log())
            .unwrap_or_else(|error| panic!("starting {}: {error}", self.program));
        self.process = Some(process);
    }

    /// Waits until it is healthy.
    ///
    /// # Panics
    /// If it ends or is not healthy in time; the message has its log's end.
    pub async fn healthy(&mut self) {
        let (url, client) = (self.health_url.clone(), self.client());
        let outcome = try_within(PATIENCE, async || {
            if let Some(status) = self.running().exit_status() {
                return Ok(Err(format!("it ended: {status}")));
            }
            let answer = client.get(&url).await.and_then(|answer| answer.success());
            answer.map(|_| Ok(())).map_err(|error| format!("{error:#}"))
        })
        .await;
        if let Err(reason) = outcome.flatten() {
            let tail = self.log().tail(40);
            panic!(
                "{} is not healthy: {reason}; its log ends:\n{tail}",
                self.program
            );
        }
    }

    /// Whether its health endpoint says it is ready, at this moment.
    pub async fn is_healthy(&self) -> bool {
        let answer = self.client().get(&self.health_url).await;
        answer.is_ok_and(|answer| answer.status.is_success())
    }

    /// Stops it with SIGTERM.
    ///
    /// # Panics
    /// If it does not run, or does not end in [`crate::process::GRACE`].
    pub async fn stop(&mut self) -> ExitStatus {
        let status = self.running().terminate().await;
        self.process = None;
        status
    }

    /// Asks it to end (SIGTERM) and does not wait; [`Self::ended`] does.
    ///
    /// # Panics
    /// If it does not run.
    pub fn ask_to_end(&mut self) {
        self.running().signal(rustix::process::Signal::TERM);
    }

    /// Asks it to read its settings again (SIGHUP).
    ///
    /// # Panics
    /// If it does not run.
    pub fn hang_up(&mut self) {
        self.running().signal(rustix::process::Signal::HUP);
    }

    /// Asks it to log more, or less again (SIGUSR1).
    ///
    /// # Panics
    /// If it does not run.
    pub fn toggle_log_level(&mut self) {
        self.running().signal(rustix::process::Signal::USR1);
    }

    /// Stops it in its tracks (SIGSTOP) until [`Self::thaw`]: its sockets stay open, nobody answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&mut self) {
        self.running().signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on (SIGCONT) after [`Self::freeze`].
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&mut self) {
        self.running().signal(rustix::process::Signal::CONT);
    }

    /// Kills it.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn kill(&mut self) -> ExitStatus {
        let status = self.running().kill().await;
        self.process = None;
        status
    }

    /// Waits until it ends by itself, for instance because of a bad flag.
    ///
    /// # Panics
    /// If it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let status = self.running().ended(limit).await;
        self.process = None;
        status
    }

    /// A client in the network that it is in.
    pub fn client(&self) -> Client {
        Client::within(self.place.network)
    }

    /// Where others find one of its ports.
    fn reached(&self, port: &Port) -> SocketAddr {
        (self.place.address, port.number()).into()
    }

    fn running(&mut self) -> &mut Process {
        let program = self.program;
        self.process
            .as_mut()
            .unwrap_or_else(|| panic!("{program} was not started"))
    }

    /// Process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// What all its runs wrote.
    pub fn log(&self) -> Log {
        Log::at(self.dir.join("log"))
    }

    /// Where its health endpoint listens.
    pub fn health_address(&self) -> SocketAddr {
        self.health.address()
    }

    /// Where its metrics are served.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics.address()
    }

    /// The text of its metrics.
    ///
    /// # Panics
    /// If they are not served.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.metrics.address());
        match self.client().get(&url).await {
            Ok(answer) => answer.text(),
            Err(error) => panic!("{error:#}"),
        }
    }
}
