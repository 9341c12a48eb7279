//! Where a node keeps what, and the fixed addresses of its network.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::control_plane::{ApiAddress, ControlPlane};

/// The node's name.
pub(super) const NAME: &str = "e2e-node";
/// The node's address; every node has the same one, in a network of its own.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);
/// Addresses of pods.
pub(super) const POD_RANGE: &str = "10.244.0.0/24";
/// The first address of the service range: the API server, seen by pods.
pub(super) const API_SERVICE: &str = "10.96.0.1";
/// The name server's ClusterIP; `coredns.yaml` has it too.
pub(super) const DNS_SERVICE: &str = "10.96.0.10";
/// containerd's socket, on the node's own `/run`.
pub(super) const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Where the node covers the machine's directories with its own; a state directory below one would vanish.
const COVERED: &[&str] = &["/run", "/var/run", "/var/lib", "/var/log", "/sys", "/proc"];

/// The state directory of a node.
#[derive(Clone, Debug)]
pub struct NodeDir {
    path: PathBuf,
}

impl NodeDir {
    /// The node of this directory.
    ///
    /// # Errors
    /// If the path is not absolute or is where the node mounts something of its own.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.is_absolute() {
            bail!("the state directory {} is not absolute", path.display());
        }
        if let Some(covered) = COVERED.iter().find(|covered| path.starts_with(covered)) {
            bail!(
                "the state directory {} is below {covered}, which the node covers with its own",
                path.display()
            );
        }
        Ok(Self { path })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of an entry in it.
    pub fn join(&self, entry: impl AsRef<Path>) -> PathBuf {
        self.path.join(entry)
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.join("pki/admin.kubeconfig")
    }

    /// The log of one of the node's programs.
    pub fn log(&self, program: &str) -> PathBuf {
        self.join("log").join(format!("{program}.log"))
    }

    /// Images to be loaded while the node starts.
    pub fn images(&self) -> PathBuf {
        self.join("images")
    }

    /// Exists from when the API server answers and the images are loaded.
    pub(super) fn ready_mark(&self) -> PathBuf {
        self.join("ready")
    }

    /// Exists from when the node ended by itself; holds the reason.
    pub(super) fn failed_mark(&self) -> PathBuf {
        self.join("failed")
    }

    pub(super) fn control_plane(&self) -> ControlPlane {
        ControlPlane {
            pki: self.join("pki"),
            data: self.join("etcd"),
            etcd_port: 2379,
            etcd_peer_port: 2380,
            controller_manager_port: 10257,
            scheduler_port: 10259,
            api: ApiAddress::Node {
                advertised: SocketAddrV4::new(ADDRESS, 6443),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_the_node_would_cover_is_refused() {
        let error = NodeDir::at("/var/lib/trilby").unwrap_err().to_string();
        assert!(error.contains("below /var/lib"), "{error}");
        assert!(NodeDir::at("relative").is_err());
        assert!(NodeDir::at("/var/libel").is_ok());
    }
}
