//! What is known of a running node, kept in its directory so that any process can find and end it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::layout::NodeDir;

const FILE: &str = "node.json";

/// A node's processes and what it has on the machine outside its directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The supervisor.
    pub supervisor: ProcessId,
    /// `unshare`, parent of the node's process 1.
    pub outer: Option<ProcessId>,
    /// The node's process 1, as the machine sees it.
    pub init: Option<u32>,
    /// The node's cgroups.
    pub cgroups: Vec<PathBuf>,
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
}

impl Record {
    /// Reads the record of a node.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(dir: &NodeDir) -> Result<Self> {
        let path = dir.join(FILE);
        let text =
            std::fs::read(&path).with_context(|| format!("no node in {}", dir.path().display()))?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Replaces the record of a node; a reader sees the old one or the new one.
    pub(super) fn write(&self, dir: &NodeDir) -> Result<()> {
        let draft = dir.join("node.json.new");
        std::fs::write(&draft, serde_json::to_vec(self)?)?;
        Ok(std::fs::rename(draft, dir.join(FILE))?)
    }
}

impl ProcessId {
    /// The process that has this number now.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let started = stat(pid)?.started;
        Some(Self { pid, started })
    }

    /// Whether it still runs; one that only waits to be reaped does not.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.is_dead)
    }

    /// Its first child.
    pub(super) fn child(self) -> Option<u32> {
        let pid = self.pid;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split(' ').next()?.parse().ok()
    }
}

struct Stat {
    is_dead: bool,
    started: u64,
}

/// A line reads `pid (name) state ...`; the name may hold anything. The start is the 22nd field of all.
fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    Some(Stat {
        is_dead: matches!(state, "Z" | "X"),
        started: fields.nth(18)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_an_earlier_one_of_its_number_is_not() {
        let own = ProcessId::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        let earlier = ProcessId {
            started: own.started - 1,
            ..own
        };
        assert!(!earlier.is_alive());
    }

    #[test]
    fn a_process_that_is_not_reaped_yet_is_not_alive() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(id.is_alive());
        drop(child.stdin.take());
        while id.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
