use std::net::SocketAddr;
use std::path::Path;

use super::Service;
use crate::ports::Port;

/// The ports of the operator.
#[derive(Debug)]
pub struct OperatorPorts {
    grpc: Port,
    webhook: Port,
}

/// The operator.
pub type Operator = Service<OperatorPorts>;

impl Operator {
    /// With free ports and every other setting at its default.
    #[expect(
        clippy::new_without_default,
        reason = "claiming ports is no default value"
    )]
    pub fn new() -> Self {
        let (grpc, webhook) = (Port::free(), Port::free());
        let (port, webhook_port) = (grpc.number(), webhook.number());
        Self::control_plane("operator", OperatorPorts { grpc, webhook })
            .arg("--port", port)
            .arg("--webhook-server-port", webhook_port)
            .arg("--webhook-server-listen-address", "127.0.0.1")
    }

    /// With the rights of this kubeconfig file, as if in this namespace.
    #[must_use]
    pub fn kubernetes(self, kubeconfig: &Path, namespace: &str) -> Self {
        self.arg("--kubeconfig", kubeconfig.display())
            .env("KUBECONFIG", kubeconfig.display())
            .env("NAMESPACE", namespace)
    }

    /// Trusts these anchors and proves itself to sentry with this token.
    #[must_use]
    pub fn identity(self, trust_anchors: &Path, token: &Path) -> Self {
        self.arg("--trust-anchors-file", trust_anchors.display())
            .env("DAPR_SENTRY_TOKEN_FILE", token.display())
    }

    /// Where sidecars connect.
    pub fn grpc_address(&self) -> SocketAddr {
        self.ports.grpc.address()
    }

    /// Where the conversion webhook listens.
    pub fn webhook_address(&self) -> SocketAddr {
        self.ports.webhook.address()
    }
}
