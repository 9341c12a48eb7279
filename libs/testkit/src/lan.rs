//! Machines on a network that a test makes, and takes apart: network namespaces around a switch.
//!
//! ```no_run
//! # use trilby_testkit::{lan::Lan, services::Placement};
//! # async fn test() {
//! let lan = Lan::of(3).await;
//! let mut placement = Placement::new().at(lan.machine(0));
//! placement.start().await;
//! lan.part(&[0, 1]); // these two see each other, and nobody else
//! lan.heal();
//! # }
//! ```
//!
//! Nobody is told of a partition: packets to the other side vanish. It needs root.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use crate::network::Network;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// Where all are that are not parted.
const SWITCH: &str = "whole";
/// Where those are that are.
const OTHER_SWITCH: &str = "parted";

/// Where a service runs: the network that it is in, and its address there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The network.
    pub network: Network,
    /// Where others in it find the service.
    pub address: IpAddr,
}

/// A switch and its machines.
#[derive(Debug)]
pub struct Lan {
    switch: Namespace,
    machines: Vec<Namespace>,
    _dir: StateDir,
}

/// A network namespace, which ends with the process that holds it.
#[derive(Debug)]
struct Namespace(Process);

// === impl Place ===

impl Place {
    /// This machine, loopback only.
    pub const LOOPBACK: Self = Self {
        network: Network::Host,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
}

// === impl Lan ===

impl Lan {
    /// So many machines that all see each other.
    ///
    /// # Panics
    /// If it cannot be made, for instance without root.
    pub async fn of(machines: u8) -> Self {
        let dir = StateDir::create("lan");
        let switch = Namespace::start(Log::at(dir.join("switch"))).await;
        for name in [SWITCH, OTHER_SWITCH] {
            switch.ip(&format!("link add {name} type bridge"));
            switch.ip(&format!("link set {name} up"));
        }
        let logs = (0..machines).map(|number| Log::at(dir.join(format!("machine-{number}"))));
        let logs: Vec<Log> = logs.collect();
        let mut lan = Self {
            switch,
            machines: Vec::new(),
            _dir: dir,
        };
        for (number, log) in (0..).zip(logs) {
            lan.plug_in(number, Namespace::start(log).await);
        }
        lan
    }

    fn plug_in(&mut self, number: u8, machine: Namespace) {
        let (port, pid) = (port(number.into()), machine.0.pid());
        let cable = format!("link add {port} type veth peer name eth0 netns {pid}");
        self.switch.ip(&cable);
        self.switch.ip(&format!("link set {port} master {SWITCH}"));
        self.switch.ip(&format!("link set {port} up"));
        machine.ip(&format!("address add {}/24 dev eth0", address(number)));
        machine.ip("link set eth0 up");
        self.machines.push(machine);
    }

    /// One of the machines.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn machine(&self, number: u8) -> Place {
        Place {
            network: Network::OfProcess(self.machines[usize::from(number)].0.pid()),
            address: address(number).into(),
        }
    }

    /// From now on these see each other and nobody else, and nobody else sees them.
    ///
    /// # Panics
    /// If there is no such machine.
    pub fn part(&self, machines: &[u8]) {
        for number in machines {
            let port = port((*number).into());
            self.switch
                .ip(&format!("link set {port} master {OTHER_SWITCH}"));
        }
    }

    /// All see each other again.
    ///
    /// # Panics
    /// If the network is gone.
    pub fn heal(&self) {
        for number in 0..self.machines.len() {
            let port = port(number);
            self.switch.ip(&format!("link set {port} master {SWITCH}"));
        }
    }
}

/// Of the block that documentation and tests have for themselves (RFC 5737, TEST-NET-1).
fn address(machine: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, machine + 1)
}

/// The switch's end of a machine's cable.
fn port(machine: usize) -> String {
    format!("port{machine}")
}

// === impl Namespace ===

impl Namespace {
    async fn start(log: Log) -> Self {
        let mut command = Command::new(program("unshare"));
        // No test takes an hour.
        let hold = "ip link set lo up && echo made && exec sleep 3600";
        command.args(["--net", "sh", "-c", hold]);
        let process = Process::spawn("a network namespace", command, log)
            .unwrap_or_else(|error| panic!("unshare: {error}"));
        process.log().wait_for("made").await;
        Self(process)
    }

    fn ip(&self, arguments: &str) {
        let output = within(self.0.pid())
            .arg(program("ip"))
            .args(arguments.split(' '))
            .output()
            .unwrap_or_else(|error| panic!("nsenter: {error}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {}", told.trim());
    }
}

/// What runs the program that follows in the network of a process.
pub(crate) fn within(pid: u32) -> Command {
    let mut command = Command::new(program("nsenter"));
    command.arg(format!("--net=/proc/{pid}/ns/net")).arg("--");
    command
}

fn program(name: &str) -> std::path::PathBuf {
    programs::system(name).unwrap_or_else(|error| panic!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    async fn reaches(lan: &Lan, from: u8, to: u8) -> bool {
        let there = lan.machine(to);
        let listener = there.network.listen((there.address, 0).into()).await;
        let listener = listener.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let connect = lan.machine(from).network.connect(address);
        let connected = tokio::time::timeout(Duration::from_millis(500), connect).await;
        connected.is_ok_and(|outcome| outcome.is_ok())
    }

    #[tokio::test]
    async fn those_that_are_parted_see_each_other_only() {
        let lan = Lan::of(4).await;
        assert!(reaches(&lan, 0, 2).await);
        lan.part(&[0, 1]);
        assert!(reaches(&lan, 0, 1).await);
        assert!(reaches(&lan, 2, 3).await);
        assert!(!reaches(&lan, 0, 2).await);
        assert!(!reaches(&lan, 3, 1).await);
        lan.heal();
        assert!(reaches(&lan, 0, 2).await);
    }
}
