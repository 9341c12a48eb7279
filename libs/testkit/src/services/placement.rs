use std::net::SocketAddr;
use std::path::Path;

use super::Service;
use crate::ports::Port;

/// The ports of placement.
#[derive(Debug)]
pub struct PlacementPorts {
    grpc: Port,
    /// Held for the flag that names it.
    _raft: Port,
}

/// The placement service.
pub type Placement = Service<PlacementPorts>;

impl Placement {
    /// One replica, with free ports and every other setting at its default.
    #[expect(
        clippy::new_without_default,
        reason = "claiming ports is no default value"
    )]
    pub fn new() -> Self {
        let (grpc, raft) = (Port::free(), Port::free());
        let number = grpc.number();
        let cluster = format!("dapr-placement-0={}", raft.address());
        Self::control_plane("placement", PlacementPorts { grpc, _raft: raft })
            .arg("--port", number)
            .arg("--id", "dapr-placement-0")
            .arg("--initial-cluster", cluster)
    }

    /// With mutual TLS: trusts these anchors and proves itself to sentry with this token.
    #[must_use]
    pub fn identity(self, trust_anchors: &Path, token: &Path) -> Self {
        self.raw_arg("--tls-enabled")
            .arg("--trust-anchors-file", trust_anchors.display())
            .env("DAPR_SENTRY_TOKEN_FILE", token.display())
    }

    /// Where sidecars connect.
    pub fn grpc_address(&self) -> SocketAddr {
        self.ports.grpc.address()
    }
}
