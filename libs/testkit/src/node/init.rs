//! Process 1 of a node: makes the mounts and the network, starts the daemons, reaps what is orphaned.
//!
//! Everything here runs inside the node's namespaces. It has one thread but for the loading of images, which ends
//! before orphans are reaped.

mod daemons;
mod mounts;
mod network;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::daemons::Daemons;
use super::layout::{CONTAINERD, NodeDir};
use crate::eventually::PATIENCE;
use crate::programs;

/// Where the daemons look for each other's programs: containerd for its shim, the kubelet for mount and iptables.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const POLL: Duration = Duration::from_millis(50);

/// Runs the node until one of its daemons ends.
///
/// # Errors
/// If something cannot be set up, or with the daemon that ended.
pub fn run(dir: &NodeDir) -> Result<()> {
    mounts::set_up(dir).context("setting up the mounts")?;
    network::set_up().context("setting up the network")?;

    let plane = dir.control_plane();
    let mut daemons = Daemons::new(dir);
    daemons.start(&daemons::containerd(dir))?;
    daemons.start(&plane.etcd())?;
    daemons.start(&plane.api_server())?;
    let loading = {
        let dir = dir.clone();
        std::thread::spawn(move || load_images(&dir))
    };
    wait_for_api(dir, &mut daemons)?;
    for daemon in [
        plane.controller_manager(),
        plane.scheduler(),
        daemons::kubelet(dir),
        daemons::kube_proxy(dir),
    ] {
        daemons.start(&daemon)?;
    }
    match loading.join() {
        Ok(outcome) => outcome.context("loading images")?,
        Err(_) => bail!("loading images panicked"),
    }
    std::fs::write(dir.ready_mark(), "")?;
    daemons.reap_until_one_ends()
}

fn load_images(dir: &NodeDir) -> Result<()> {
    until("containerd answers", || {
        UnixStream::connect(CONTAINERD).is_ok()
    })?;
    for entry in std::fs::read_dir(dir.images())? {
        let archive = entry?.path();
        let mut ctr = Command::new(programs::system("ctr")?);
        ctr.args(["--namespace", "k8s.io", "images", "import", "--no-unpack"])
            .arg(&archive);
        run_command(ctr)?;
        std::fs::remove_file(&archive)?;
    }
    Ok(())
}

fn wait_for_api(dir: &NodeDir, daemons: &mut Daemons) -> Result<()> {
    let api = SocketAddr::from((Ipv4Addr::LOCALHOST, 6443));
    let kubectl = programs::kubernetes("kubectl")?;
    until("the API server is ready", || {
        // The port is tried first: a kubectl that finds nobody costs far more.
        TcpStream::connect(api).is_ok()
            && Command::new(&kubectl)
                .args(["get", "--raw=/readyz"])
                .env("KUBECONFIG", dir.kubeconfig())
                .env("KUBECACHEDIR", dir.join("kube-cache"))
                .output()
                .is_ok_and(|output| output.status.success())
            || daemons.any_ended()
    })?;
    daemons.check()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if holds() {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    bail!("not within {PATIENCE:?}: {what}");
}

/// Runs a command to its end; what it wrote is in the error.
fn run_command(mut command: Command) -> Result<()> {
    let output = command
        .env("PATH", PATH)
        .output()
        .with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}", output.status, stderr.trim());
    }
    Ok(())
}
