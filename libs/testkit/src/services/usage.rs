//! What a running program costs.

use std::time::Duration;

use super::Service;

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What is resident now.
    pub resident: u64,
    /// The part of it that no file backs.
    pub anonymous: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

impl<P> Service<P> {
    /// CPU time so far, of all its threads, to the hundredth of a second.
    ///
    /// # Panics
    /// If it does not run.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // The name of the program may hold anything, spaces as well.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
        let fields: Vec<&str> = fields.unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u64>().expect("ticks are a number");
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Memory at this moment.
    ///
    /// # Panics
    /// If it does not run.
    pub fn memory(&self) -> Memory {
        let status = self.proc("status");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let figure = line.and_then(|line| line.split_whitespace().next());
            let kibibytes: u64 = figure
                .and_then(|figure| figure.parse().ok())
                .unwrap_or_else(|| panic!("no figure {name} in:\n{status}"));
            kibibytes * 1024
        };
        Memory {
            resident: bytes("VmRSS:"),
            anonymous: bytes("RssAnon:"),
            peak: bytes("VmHWM:"),
        }
    }

    fn proc(&self, file: &str) -> String {
        let pid = self
            .pid()
            .unwrap_or_else(|| panic!("{} was not started", self.program));
        let path = format!("/proc/{pid}/{file}");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}
