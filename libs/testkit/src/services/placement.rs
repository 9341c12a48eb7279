use std::net::SocketAddr;
use std::path::Path;

use super::Service;
use crate::lan::Place;
use crate::ports::Port;

/// The ports of placement.
#[derive(Debug)]
pub struct PlacementPorts {
    grpc: Port,
    /// Where the other replicas reach it.
    raft: Port,
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
        Self::control_plane("placement", PlacementPorts { grpc, raft })
            .arg("--port", number)
            .arg("--id", "dapr-placement-0")
            .arg("--initial-cluster", cluster)
    }

    /// On this machine of a network.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        let own = format!("dapr-placement-0={}", self.reached(&self.ports.raft));
        self.arg("--listen-address", place.address)
            .arg("--initial-cluster", own)
    }

    /// With mutual TLS: trusts these anchors and proves itself to sentry with this token.
    #[must_use]
    pub fn identity(self, trust_anchors: &Path, token: &Path) -> Self {
        self.raw_arg("--tls-enabled")
            .arg("--trust-anchors-file", trust_anchors.display())
            .env("DAPR_SENTRY_TOKEN_FILE", token.display())
    }

    /// The same as replicas of each other, named after a StatefulSet's pods.
    #[must_use]
    pub fn replicas(nodes: Vec<Self>) -> Vec<Self> {
        let id = |place: usize| format!("dapr-placement-server-{place}");
        let members = nodes.iter().enumerate();
        let members: Vec<String> = members
            .map(|(place, node)| format!("{}={}", id(place), node.reached(&node.ports.raft)))
            .collect();
        let cluster = members.join(",");
        let nodes = nodes.into_iter().enumerate();
        nodes
            .map(|(place, node)| {
                node.arg("--id", id(place))
                    .arg("--initial-cluster", &cluster)
            })
            .collect()
    }

    /// Where sidecars connect.
    pub fn grpc_address(&self) -> SocketAddr {
        self.reached(&self.ports.grpc)
    }
}
