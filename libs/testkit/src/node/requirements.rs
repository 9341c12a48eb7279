//! What a machine must have to run a node. Everything that is missing is reported at once.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::cgroup;
use crate::programs;

const SYSTEM_PROGRAMS: &[&str] = &[
    "unshare",
    "nsenter",
    "setsid",
    "mount",
    "hostname",
    "ip",
    "nft",
    "iptables",
    "ldd",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
];
const KUBERNETES_PROGRAMS: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "helm",
    "coredns",
    "pause",
];
/// Debian's place for them; containerd is told so.
const CNI_DIR: &str = "/usr/lib/cni";
const CNI_PLUGINS: &[&str] = &["bridge", "host-local", "loopback", "portmap"];

/// What kube-proxy, the CNI plugins and containerd need of the kernel, tried in a network of its own.
const KERNEL_PROBE: &str = "
ip link add probe0 type veth peer name probe1 || { echo 'no veth interfaces'; exit 1; }
ip link add probe2 type bridge || { echo 'no bridge interfaces'; exit 1; }
nft 'add table ip probe; add chain ip probe nat { type nat hook postrouting priority 100; }' || { echo 'no nftables NAT'; exit 1; }
";

/// Checks that a node can run here.
///
/// # Errors
/// With every reason why not, and what to do about each.
pub fn check() -> Result<()> {
    let mut problems = Vec::new();
    if !rustix::process::geteuid().is_root() {
        problems.push("it needs root, for namespaces and mounts: run it as root".to_owned());
    }
    let missing = |outcome: Result<_>| outcome.err().map(|error| format!("{error:#}"));
    problems.extend(
        SYSTEM_PROGRAMS
            .iter()
            .filter_map(|name| missing(programs::system(name))),
    );
    // One build makes all of them: one line is enough.
    problems.extend(
        KUBERNETES_PROGRAMS
            .iter()
            .find_map(|name| missing(programs::kubernetes(name))),
    );
    problems.extend(programs::node().err().map(|error| format!("{error:#}")));
    problems.extend(
        cgroup::hierarchies()
            .err()
            .map(|error| format!("{error:#}")),
    );
    problems.extend(missing_plugins());
    if problems.is_empty() {
        problems.extend(kernel_problem());
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "a one-node Kubernetes cannot run here:\n- {}",
        problems.join("\n- ")
    );
}

fn missing_plugins() -> Option<String> {
    let missing = CNI_PLUGINS
        .iter()
        .any(|plugin| !Path::new(CNI_DIR).join(plugin).is_file());
    missing.then(|| format!("the CNI plugins are not in {CNI_DIR}: run `e2e/packages.sh` as root"))
}

fn kernel_problem() -> Option<String> {
    let overlay = std::fs::read_to_string("/proc/filesystems")
        .is_ok_and(|filesystems| filesystems.contains("\toverlay"));
    if !overlay {
        return Some("the kernel has no overlay file system: load the module `overlay`".to_owned());
    }
    let probe = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "sh",
            "-c",
            KERNEL_PROBE,
        ])
        .env("PATH", super::init::PATH)
        .output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "the kernel, or the rights of this user, lack something: {} {}",
            String::from_utf8_lossy(&output.stdout).trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("unshare cannot be run: {error}")),
    }
}
