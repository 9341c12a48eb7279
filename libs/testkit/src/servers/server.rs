//! What the servers of this folder have in common: a port and a directory that outlive the process, and a user who may
//! run it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, geteuid};

use crate::ports::Port;
use crate::process::{Log, Process};
use crate::state_dir::StateDir;

/// Time to write everything down and end, on a machine that has much else to do.
pub(super) const SHUTDOWN: Duration = Duration::from_secs(60);

/// A server's place, and its process while it runs.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    port: Port,
    process: Option<Process>,
    dir: StateDir,
}

impl Server {
    /// A place for one that does not run yet.
    pub(super) fn stopped(name: &'static str) -> Self {
        Self {
            name,
            port: Port::free(),
            process: None,
            dir: StateDir::create(name),
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The number of its port, for a command line.
    pub(super) fn port(&self) -> String {
        self.port.number().to_string()
    }

    /// Where its files are.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What it wrote.
    pub(super) fn log(&self) -> Log {
        Log::at(self.dir.join("log"))
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it runs already, or cannot be started.
    pub(super) fn spawn(&mut self, command: Command) {
        let name = self.name;
        assert!(self.process.is_none(), "{name} already runs");
        let process = Process::spawn(name, command, self.log())
            .unwrap_or_else(|error| panic!("starting {name}: {error}"));
        self.process = Some(process);
    }

    /// Ends it with this signal.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub(super) async fn end(&mut self, signal: Signal) {
        let process = self.process.take();
        let mut process = process.unwrap_or_else(|| panic!("{} does not run", self.name));
        process.signal(signal);
        process.ended(SHUTDOWN).await;
    }

    /// Its process, if it runs.
    pub(super) fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }
}

/// What a client of a server prints, or why it failed.
pub(super) fn answer(mut client: Command) -> Result<String, String> {
    let output = client.output().map_err(|error| error.to_string())?;
    let (text, told) = match output.status.success() {
        true => (output.stdout, true),
        false => (output.stderr, false),
    };
    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
    if told { Ok(text) } else { Err(text) }
}

/// A user of the system who runs a server where this one is root, which the server refuses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner(Option<(u32, u32)>);

impl Owner {
    /// The user of this name; nobody else where the server may run as whoever runs this.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn of(name: &str) -> Self {
        if !geteuid().is_root() {
            return Self(None);
        }
        let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
        let ids = users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields[..] {
                [user, _, id, group, ..] if user == name => {
                    Some((id.parse().ok()?, group.parse().ok()?))
                }
                _ => None,
            }
        });
        assert!(
            ids.is_some(),
            "there is no user {name}: run `e2e/packages.sh` as root"
        );
        Self(ids)
    }

    /// Has the program run as this user, wherever the test runs.
    pub(super) fn runs(self, command: &mut Command) {
        command.current_dir("/");
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
    }

    /// Gives a file or directory away.
    pub(super) fn owns(self, path: &Path) {
        if let Some((user, group)) = self.0 {
            chown(path, Some(user), Some(group))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }

    /// A directory of his below one that he may pass through.
    pub(super) fn dir(self, parent: &Path, name: &str) -> PathBuf {
        let passable = fs::Permissions::from_mode(0o711);
        fs::set_permissions(parent, passable).expect("the directory is ours");
        let path = parent.join(name);
        fs::create_dir(&path).expect("the directory is writable");
        self.owns(&path);
        path
    }

    /// A file that only he can read.
    pub(super) fn file(self, path: PathBuf, content: &str) -> PathBuf {
        fs::write(&path, content).expect("the directory is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        self.owns(&path);
        path
    }
}
