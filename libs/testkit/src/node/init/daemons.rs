//! The node's daemons, as children of process 1.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::process::{WaitOptions, wait};

use super::PATH;
use crate::control_plane::Daemon;
use crate::node::layout::{ADDRESS, NAME, NodeDir};
use crate::programs;

pub(super) struct Daemons<'a> {
    dir: &'a NodeDir,
    running: Vec<(&'static str, Child)>,
}

impl<'a> Daemons<'a> {
    pub(super) fn new(dir: &'a NodeDir) -> Self {
        Self {
            dir,
            running: Vec::new(),
        }
    }

    /// Starts a daemon that writes its own log.
    pub(super) fn start(&mut self, daemon: &Daemon) -> Result<()> {
        let name = daemon.program;
        let program = programs::kubernetes(name).or_else(|_| programs::system(name))?;
        let path = self.dir.log(name);
        let log = OpenOptions::new().create(true).append(true).open(&path)?;
        let child = Command::new(program)
            .args(&daemon.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.dir.join("tmp"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        self.running.push((name, child));
        Ok(())
    }

    pub(super) fn any_ended(&mut self) -> bool {
        self.check().is_err()
    }

    /// An error with the first daemon that ended.
    pub(super) fn check(&mut self) -> Result<()> {
        for (name, child) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                bail!("{name} {status}");
            }
        }
        Ok(())
    }

    /// Reaps every child, also those that others left, until a daemon ends.
    pub(super) fn reap_until_one_ends(&self) -> Result<()> {
        while let Some((pid, status)) = wait(WaitOptions::empty())? {
            let ended = self
                .running
                .iter()
                .find(|(_, child)| i32::try_from(child.id()) == Ok(pid.as_raw_pid()));
            if let Some((name, _)) = ended {
                bail!("{name} {}", ExitStatus::from_raw(status.as_raw()));
            }
        }
        bail!("no daemon is left");
    }
}

pub(super) fn containerd(dir: &NodeDir) -> Daemon {
    let config = dir.join("config/containerd.toml");
    Daemon::new("containerd", vec![format!("--config={}", config.display())])
}

pub(super) fn kubelet(dir: &NodeDir) -> Daemon {
    Daemon::new(
        "kubelet",
        vec![
            format!("--config={}", dir.join("config/kubelet.json").display()),
            format!(
                "--kubeconfig={}",
                dir.join("pki/kubelet.kubeconfig").display()
            ),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={ADDRESS}"),
            "--root-dir=/var/lib/kubelet".to_owned(),
            "--cert-dir=/var/lib/kubelet/pki".to_owned(),
        ],
    )
}

pub(super) fn kube_proxy(dir: &NodeDir) -> Daemon {
    Daemon::new(
        "kube-proxy",
        vec![
            format!("--config={}", dir.join("config/kube-proxy.json").display()),
            format!("--hostname-override={NAME}"),
        ],
    )
}
