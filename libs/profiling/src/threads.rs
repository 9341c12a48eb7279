//! What every thread is doing now: each is interrupted once and its stack taken.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::interrupt::{Slots, Unavailable};
use crate::profile::{Kind, Stacks, Unit};

/// How long threads may take to answer; one that is stuck in the kernel does not.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two looks for answers.
const LOOK: Duration = Duration::from_millis(2);

/// A thread of this process.
struct Thread {
    id: libc::pid_t,
    name: String,
}

/// The stacks of all threads, each with its thread's name. One that does not answer has none.
pub(crate) async fn stacks() -> Result<Stacks, Unavailable> {
    let at = SystemTime::now();
    let slots = Slots::acquire()?;
    let threads = list();
    let mut missing = 0;
    for thread in &threads {
        missing += usize::from(interrupt(thread.id));
    }
    let mut taken: HashMap<libc::pid_t, Box<[usize]>> = HashMap::new();
    let until = Instant::now() + PATIENCE;
    while taken.len() < missing && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        slots.drain(|thread, frames| drop(taken.insert(thread, frames.into())));
    }
    let mut stacks = Stacks::new(&[Kind::new("threads", Unit::Count)], at);
    for thread in threads {
        let frames = taken.remove(&thread.id).unwrap_or_default();
        stacks.push_of(thread.name, frames, &[1]);
    }
    Ok(stacks)
}

/// The threads there are, by name, each counted once.
pub(crate) fn names() -> Stacks {
    let mut stacks = Stacks::new(&[Kind::new("threads", Unit::Count)], SystemTime::now());
    for thread in list() {
        stacks.push_of(thread.name, Box::default(), &[1]);
    }
    stacks
}

fn list() -> Vec<Thread> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .filter_map(|task| {
            let task = task.ok()?;
            let id = task.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            Some(Thread {
                id,
                name: name.trim_end().to_owned(),
            })
        })
        .collect()
}

/// Whether the thread is still there and will be interrupted.
#[allow(unsafe_code, reason = "there is no wrapper for signals to one thread")]
fn interrupt(thread: libc::pid_t) -> bool {
    // SAFETY: SIGPROF is handled (the caller holds the slots), and goes to a thread of this process only.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGPROF) == 0 }
}
