//! The node's place in the machine's cgroups (version 1): one child of the starter's own cgroup in every hierarchy.
//!
//! In the node's cgroup namespace these are the roots, so the kubelet needs no special settings, and whatever limits
//! the starter has also hold for the node.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::layout::NodeDir;
use super::record::Record;
use crate::programs;

/// The controllers that the kubelet and runc need, each mounted by itself.
pub(super) const CONTROLLERS: &[&str] = &[
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
];

/// How long the kernel may take to let go of a cgroup whose processes have died.
const REMOVAL: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// The directories of this process's own cgroups, one for every controller.
///
/// # Errors
/// If the machine has another layout.
pub(super) fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    let own = fs::read_to_string("/proc/self/cgroup").context("reading the own cgroups")?;
    CONTROLLERS
        .iter()
        .map(|controller| directory(controller, &mounts, &own))
        .collect()
}

fn directory(controller: &str, mounts: &str, own: &str) -> Result<PathBuf> {
    let (root, mount_point) =
        mount_of(controller, mounts).ok_or_else(|| wrong_layout(controller))?;
    let path = own
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'))
        .find(|(controllers, _)| *controllers == controller)
        .map(|(_, path)| Path::new(path))
        .ok_or_else(|| wrong_layout(controller))?;
    let below = path.strip_prefix(root).unwrap_or(path);
    let below = below.strip_prefix("/").unwrap_or(below);
    Ok(mount_point.join(below))
}

/// The root and the mount point of the hierarchy with this controller alone. A line reads
/// `id parent device root mount-point options ... - cgroup source options`.
fn mount_of<'a>(controller: &str, mounts: &'a str) -> Option<(&'a Path, &'a Path)> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let is_v1 = kind.next() == Some("cgroup");
        let options = kind.nth(1)?;
        let others = options
            .split(',')
            .filter(|option| CONTROLLERS.contains(option));
        if !is_v1 || !others.eq([controller]) {
            return None;
        }
        let mut place = place.split(' ').skip(3);
        Some((Path::new(place.next()?), Path::new(place.next()?)))
    })
}

fn wrong_layout(controller: &str) -> anyhow::Error {
    anyhow!(
        "the cgroup controller {controller} is not mounted by itself in a version 1 hierarchy: the node needs {} so, \
         as containers without systemd have it; on a machine with the unified hierarchy (version 2) use a cluster of \
         your own instead (`make demo CLUSTER=current`)",
        CONTROLLERS.join(", ")
    )
}

/// Makes one child of this process's own cgroup in every hierarchy; gives their directories.
///
/// # Errors
/// If the machine has another layout or one cannot be made.
pub(super) fn create() -> Result<Vec<PathBuf>> {
    let name = format!("trilby-node-{}", std::process::id());
    let mut made = Vec::new();
    for own in hierarchies()? {
        let child = own.join(&name);
        let outcome = make(&own, &child).with_context(|| child.display().to_string());
        made.push(child);
        if let Err(error) = outcome {
            remove(&made).context("undoing")?;
            return Err(error);
        }
    }
    Ok(made)
}

fn make(own: &Path, child: &Path) -> io::Result<()> {
    match fs::create_dir(child) {
        // Left by a supervisor of the same id that was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        outcome => outcome?,
    }
    // Nobody can join a cpuset whose processors or memory are not set.
    for setting in ["cpuset.cpus", "cpuset.mems"] {
        if own.join(setting).exists() {
            fs::write(child.join(setting), fs::read(own.join(setting))?)?;
        }
    }
    Ok(())
}

/// Removes cgroups with all below them; their processes must be dead or dying.
///
/// # Errors
/// If one is still in use after a while.
pub(super) fn remove(cgroups: &[PathBuf]) -> Result<()> {
    let attempts = REMOVAL.as_millis() / PAUSE.as_millis();
    for cgroup in cgroups {
        let mut outcome = remove_tree(cgroup);
        for _ in 0..attempts {
            if outcome.is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
            outcome = remove_tree(cgroup);
        }
        outcome.with_context(|| format!("removing the cgroup {}", cgroup.display()))?;
    }
    Ok(())
}

fn remove_tree(cgroup: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Joins the node's cgroups and becomes `unshare`, which becomes the node's process 1. Returns only to say why not.
///
/// # Errors
/// If a cgroup cannot be joined or a program is missing.
pub fn enter(dir: &NodeDir) -> Result<Infallible> {
    for cgroup in Record::read(dir)?.cgroups {
        let procs = cgroup.join("cgroup.procs");
        fs::write(&procs, "0").with_context(|| procs.display().to_string())?;
    }
    let error = Command::new(programs::system("unshare")?)
        .args(["--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc"])
        .args(["--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe()?)
        .arg("init")
        .arg(dir.path())
        .exec();
    bail!("unshare: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 /box /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn the_own_cgroup_is_found_below_its_mount() {
        let found = directory("memory", MOUNTS, "4:memory:/a/b\n0::/\n").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/memory/a/b"));
    }

    #[test]
    fn a_mount_of_a_part_of_the_tree_is_understood() {
        let found = directory("pids", MOUNTS, "8:pids:/box/c\n").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/pids/c"));
    }

    #[test]
    fn controllers_that_share_a_hierarchy_are_refused_with_the_reason() {
        let error = directory("cpu", MOUNTS, "1:cpu,cpuacct:/\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("controller cpu is not mounted by itself"),
            "{error}"
        );
    }

    #[test]
    fn the_unified_hierarchy_is_refused_with_the_way_out() {
        let error = directory(
            "memory",
            "33 25 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
            "0::/\n",
        );
        assert!(error.unwrap_err().to_string().contains("CLUSTER=current"));
    }
}
