//! The process that owns a node: it starts it, and when it is told to, or its starter is gone, removes every trace.

use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::cgroup;
use super::layout::NodeDir;
use super::record::{ProcessId, Record};
use super::start::Lifetime;
use crate::process::{Log, Process};
use crate::state_dir::StateDir;

const POLL: Duration = Duration::from_millis(50);
/// How long a node may take to die, with all its pods.
const DEATH: Duration = Duration::from_secs(20);

/// Runs a node in this directory, which must exist and is removed at the end, until SIGTERM, SIGINT or, for
/// [`Lifetime::OfStarter`], the end of standard input. If the node ends by itself, its logs stay until then.
///
/// # Errors
/// If the node cannot be started or something of it cannot be removed.
pub async fn supervise(dir: NodeDir, lifetime: Lifetime) -> Result<()> {
    let state = StateDir::adopt(dir.path())?;
    let mut record = Record {
        supervisor: ProcessId::of(std::process::id()).context("a process sees itself")?,
        cgroups: cgroup::create()?,
        ..Record::default()
    };
    let outcome = run(&dir, &mut record, lifetime).await;
    // The directory goes only if all else is gone: it says what is left.
    let removed = remove_node(&record);
    if removed.is_ok() {
        drop(state);
    } else {
        std::mem::forget(state);
    }
    outcome.and(removed)
}

async fn run(dir: &NodeDir, record: &mut Record, lifetime: Lifetime) -> Result<()> {
    record.write(dir)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("enter").arg(dir.path());
    let mut outer = Process::spawn("node", command, Log::at(dir.log("node")))?;
    record.outer = ProcessId::of(outer.pid());
    record.write(dir)?;

    let outcome = until_stopped(dir, record, (&mut outer, lifetime)).await;
    // Before `outer` is dropped, which would wait for it to end by itself.
    kill(record).and(outcome)
}

async fn until_stopped(
    dir: &NodeDir,
    record: &mut Record,
    node: (&mut Process, Lifetime),
) -> Result<()> {
    let (outer, lifetime) = node;
    let stop = stopped(lifetime);
    tokio::pin!(stop);
    tokio::select! {
        outcome = &mut stop => return outcome,
        outcome = watch(dir, record, outer) => outcome?,
    }
    stop.await
}

/// Notes the node's process 1 once it is there, and the node's end.
async fn watch(dir: &NodeDir, record: &mut Record, outer: &mut Process) -> Result<()> {
    loop {
        if let Some(status) = outer.exit_status() {
            let how = match status.signal() {
                Some(signal) => format!("killed by signal {signal}"),
                None => format!("ended with {status}"),
            };
            std::fs::write(dir.failed_mark(), how)?;
            return Ok(());
        }
        if record.init.is_none() {
            record.init = record.outer.and_then(ProcessId::child);
            record.write(dir)?;
        }
        sleep(POLL).await;
    }
}

async fn stopped(lifetime: Lifetime) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        outcome = starter_gone(), if lifetime == Lifetime::OfStarter => outcome,
    }
}

/// The starter holds the other end of standard input and never writes: whatever comes, it is the end.
async fn starter_gone() -> Result<()> {
    let input = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut input = Receiver::from_owned_fd(input).context("standard input is no pipe")?;
    // Not a byte, or one: both are the end.
    let _count = input.read(&mut [0]).await?;
    Ok(())
}

/// Ends a node and removes every trace of it, whether its supervisor lives or not. No node is no failure.
///
/// # Errors
/// If something of it cannot be removed.
pub fn down(dir: &NodeDir) -> Result<()> {
    let Ok(record) = Record::read(dir) else {
        return remove_directory(dir.path());
    };
    if record.supervisor.is_alive() {
        send(record.supervisor.pid, Signal::TERM);
        if died(record.supervisor) && !dir.path().exists() {
            return Ok(());
        }
        // It is stuck or could not remove everything: do it from here.
        send(record.supervisor.pid, Signal::KILL);
    }
    remove_node(&record)?;
    remove_directory(dir.path())
}

fn remove_node(record: &Record) -> Result<()> {
    kill(record)?;
    cgroup::remove(&record.cgroups)
}

/// Kills the node's processes.
fn kill(record: &Record) -> Result<()> {
    let Some(outer) = record.outer else {
        return Ok(());
    };
    // Killing process 1 kills all; before it is there, `unshare` is killed and takes it along.
    for victim in [outer.child().unwrap_or(outer.pid), outer.pid] {
        if !outer.is_alive() {
            return Ok(());
        }
        send(victim, Signal::KILL);
        if died(outer) {
            return Ok(());
        }
    }
    bail!("the node's process {} does not die", outer.pid);
}

fn died(process: ProcessId) -> bool {
    for _ in 0..DEATH.as_millis() / POLL.as_millis() {
        if !process.is_alive() {
            return true;
        }
        std::thread::sleep(POLL);
    }
    false
}

/// A process that is already gone is what is wanted.
fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

fn remove_directory(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
