//! Children that die with this process, however it dies.
//!
//! The kernel's parent-death signal follows the *thread* that forked, and every test has a thread of its own that ends
//! with it. So all children are forked by one thread that lives as long as the process.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

struct Job {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

/// Starts `command` in a process group of its own, to be killed when this process ends.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    static JOBS: OnceLock<Sender<Job>> = OnceLock::new();
    command.process_group(0);
    die_with_parent(&mut command);
    let jobs = JOBS.get_or_init(|| {
        let (sender, receiver) = channel();
        std::thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || run(&receiver))
            .expect("a thread can be started");
        sender
    });
    let (reply, outcome) = channel();
    jobs.send(Job { command, reply })
        .expect("the spawner never ends");
    outcome.recv().expect("the spawner answers every job")
}

fn run(jobs: &Receiver<Job>) {
    while let Ok(Job { mut command, reply }) = jobs.recv() {
        if let Err(unwanted) = reply.send(command.spawn())
            && let Ok(mut child) = unwanted.0
        {
            // The asking thread is gone; nobody would ever stop this child.
            if child.kill().is_ok() {
                child.wait().ok();
            }
        }
    }
}

#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    // SAFETY: between fork and exec only two system calls are made and an integer is compared; nothing is allocated,
    // no lock is taken, and no memory of other threads is looked at.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the line above took effect.
            if getppid() != Some(parent) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        });
    }
}
