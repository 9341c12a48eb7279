//! The node's network: one address on a bridge without ports, and no way out.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::run_command;
use crate::control_plane::SERVICE_RANGE;
use crate::node::layout::{ADDRESS, NAME};

pub(super) fn set_up() -> Result<()> {
    let mut hostname = Command::new("hostname");
    hostname.arg(NAME);
    run_command(hostname)?;
    ip(&["link", "set", "lo", "up"])?;
    // The kubelet refuses a loopback address; a kernel may lack the type `dummy`, containers need bridges anyway.
    ip(&["link", "add", "node0", "type", "bridge"])?;
    ip(&["address", "add", &format!("{ADDRESS}/32"), "dev", "node0"])?;
    ip(&["link", "set", "node0", "up"])?;
    // The API server calls webhooks by ClusterIP: a route is looked for before the address is translated.
    ip(&["route", "add", SERVICE_RANGE, "dev", "node0"])?;
    sysctl("net/ipv4/ip_forward")?;
    sysctl("net/bridge/bridge-nf-call-iptables")
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments);
    run_command(command)
}

fn sysctl(name: &str) -> Result<()> {
    let path = format!("/proc/sys/{name}");
    fs::write(&path, "1").context(path)
}
