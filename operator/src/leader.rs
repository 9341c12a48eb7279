//! Leadership by a Lease: one replica at a time manages the apps' Services.

use kube::Client;
use uuid::Uuid;

/// The Lease's name, in the control plane's namespace.
const LEASE: &str = "operator.dapr.io";

/// Whether the leader's work needs an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// By the Lease `operator.dapr.io`.
    Lease,
    /// Every replica does it.
    Disabled,
}

/// A candidate under a name of its own, in the control plane's namespace.
pub(crate) fn elector(client: Client, namespace: &str) -> trilby_lease::Elector {
    let identity = format!("{}_{}", trilby_bootstrap::net::hostname(), Uuid::new_v4());
    trilby_lease::Elector::new(client, namespace, LEASE, identity)
}
