use std::net::SocketAddr;
use std::path::Path;

use super::Service;
use crate::ports::Port;

/// The ports of sentry.
#[derive(Debug)]
pub struct SentryPorts {
    grpc: Port,
}

/// The certificate authority.
pub type Sentry = Service<SentryPorts>;

impl Sentry {
    /// With free ports and every other setting at its default.
    #[expect(
        clippy::new_without_default,
        reason = "claiming ports is no default value"
    )]
    pub fn new() -> Self {
        let grpc = Port::free();
        let number = grpc.number();
        Self::control_plane("sentry", SentryPorts { grpc }).arg("--port", number)
    }

    /// In Kubernetes mode, with the rights of this kubeconfig file, as if in this namespace.
    #[must_use]
    pub fn kubernetes(self, kubeconfig: &Path, namespace: &str) -> Self {
        self.arg("--mode", "kubernetes")
            .arg("--kubeconfig", kubeconfig.display())
            .env("KUBECONFIG", kubeconfig.display())
            .env("NAMESPACE", namespace)
    }

    /// Where certificates are signed.
    pub fn grpc_address(&self) -> SocketAddr {
        self.ports.grpc.address()
    }
}
