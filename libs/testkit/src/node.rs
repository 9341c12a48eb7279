//! A one-node Kubernetes in namespaces of its own.
//!
//! ```text
//! starter (a test, or `testkit-node up`)
//!   └ supervisor            makes the cgroups; ends the node and removes every trace, whatever happens to the starter
//!      └ enter → unshare    joins the cgroups, makes the namespaces
//!         └ init            process 1 inside: mounts, network, daemons; its death is the death of all
//!            └ etcd, API server, controller manager, scheduler, containerd, kubelet, kube-proxy, pods
//! ```
//!
//! The node has no route to anywhere, and of the machine it sees files only. Its mounts, interfaces, rules and sysctls
//! are in its namespaces and go with them; on the machine it leaves cgroup directories and its state directory, which
//! the supervisor removes.

mod cgroup;
mod config;
mod init;
mod layout;
mod record;
mod requirements;
mod start;
mod supervisor;

pub use self::cgroup::enter;
pub use self::init::run as init;
pub use self::layout::NodeDir;
pub use self::record::Record;
pub use self::requirements::check as check_requirements;
pub use self::start::{Lifetime, Node, sweep};
pub use self::supervisor::{down, supervise};
