//! Child processes with a log, that never outlive the test.

mod log;
pub(crate) mod spawner;

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

pub use self::log::Log;
use crate::eventually::try_within;

/// Time a process has to end by itself after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(10);

/// Time a process has to be gone after SIGKILL, on a machine that has much else to do.
const KILLED: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(10);

/// A running program. Dropped, it gets SIGTERM and, after [`GRACE`], SIGKILL; if the test is failing, the end of its
/// log is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Log,
}

impl Process {
    /// Starts a program; what it writes goes to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: Log) -> io::Result<Self> {
        let output = log.open()?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = spawner::spawn(command)?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How it ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        if self.exit_status().is_none() {
            // It may end between the two lines; a process not yet waited for keeps its id, so no other is hit.
            kill_process(self.raw_pid(), signal).ok();
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// If it still runs after [`GRACE`].
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended(GRACE).await
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// If it still runs after a minute.
    pub async fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.ended(KILLED).await
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it still runs after `limit`; the message has the log's tail.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let outcome = try_within(limit, async || self.exit_status().ok_or("")).await;
        outcome.unwrap_or_else(|_| {
            panic!(
                "{} still runs after {limit:?}; its log ends:\n{}",
                self.name,
                self.log.tail(30)
            )
        })
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn ends_within(&mut self, limit: Duration) -> bool {
        let polls = limit.as_millis() / POLL.as_millis();
        for _ in 0..polls {
            if self.exit_status().is_some() {
                return true;
            }
            std::thread::sleep(POLL);
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} wrote last:\n{}", self.name, self.log.tail(40));
        }
        self.signal(Signal::TERM);
        if !self.ends_within(GRACE) {
            self.signal(Signal::KILL);
            self.ends_within(GRACE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_dir::StateDir;

    fn shell(dir: &StateDir, script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("shell", command, Log::at(dir.join("log"))).unwrap()
    }

    #[tokio::test]
    async fn both_outputs_are_in_the_log() {
        let dir = StateDir::create("unit-process");
        let mut process = shell(&dir, "echo out; echo err >&2");
        assert!(process.ended(GRACE).await.success());
        assert_eq!(process.log().text(), "out\nerr\n");
    }

    #[tokio::test]
    async fn a_log_line_can_be_waited_for() {
        let dir = StateDir::create("unit-process");
        let process = shell(&dir, "echo one; echo two three; exec sleep 60");
        assert_eq!(process.log().wait_for("three").await, "two three");
    }

    #[tokio::test]
    async fn terminate_lets_the_program_choose_its_exit_code() {
        let dir = StateDir::create("unit-process");
        let mut process = shell(
            &dir,
            "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done",
        );
        process.log().wait_for("up").await;
        assert_eq!(process.terminate().await.code(), Some(7));
    }

    #[tokio::test]
    async fn a_dropped_process_is_gone() {
        let dir = StateDir::create("unit-process");
        let process = shell(&dir, "exec sleep 60");
        let proc = format!("/proc/{}", process.pid());
        drop(process);
        assert!(!std::path::Path::new(&proc).exists());
    }
}
