//! The node's own view of the file system: its cgroups, its `/run`, `/var/lib` and `/var/log`, and the sysctls that
//! the kubelet would otherwise set for the whole machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::run_command;
use crate::node::cgroup::CONTROLLERS;
use crate::node::layout::NodeDir;

/// What the kubelet expects of the kernel. These have no namespace: the node sees files with the wanted values in
/// their place.
const SYSCTLS: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

pub(super) fn set_up(dir: &NodeDir) -> Result<()> {
    mount(&["--make-rprivate", "/"])?;
    // The network namespace's own view.
    mount(&["-t", "sysfs", "sysfs", "/sys"])?;
    cgroups()?;
    mount(&["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"])?;
    bind(&dir.join("var-log"), Path::new("/var/log"))?;
    bind(&dir.join("var-lib"), Path::new("/var/lib"))?;
    sysctls(dir)
}

fn cgroups() -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    mount(&["-t", "tmpfs", "-o", "mode=755", "cgroup", "/sys/fs/cgroup"])?;
    for controller in CONTROLLERS {
        mount_cgroup(&root.join(controller), controller)?;
    }
    // runc looks for it even where there is no systemd.
    mount_cgroup(&root.join("systemd"), "none,name=systemd")
}

fn mount_cgroup(at: &Path, options: &str) -> Result<()> {
    fs::create_dir(at).with_context(|| at.display().to_string())?;
    mount(&[
        "-t",
        "cgroup",
        "-o",
        options,
        "cgroup",
        &at.display().to_string(),
    ])
}

fn sysctls(dir: &NodeDir) -> Result<()> {
    for (name, value) in SYSCTLS {
        let file = dir.join("sysctl").join(name.replace('/', "."));
        fs::write(&file, format!("{value}\n")).with_context(|| file.display().to_string())?;
        bind(&file, &Path::new("/proc/sys").join(name))?;
    }
    Ok(())
}

fn bind(source: &Path, at: &Path) -> Result<()> {
    mount(&[
        "--bind",
        &source.display().to_string(),
        &at.display().to_string(),
    ])
}

fn mount(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("mount");
    command.args(arguments);
    run_command(command)
}
