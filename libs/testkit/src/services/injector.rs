use std::net::SocketAddr;
use std::path::Path;

use super::Service;
use crate::ports::Port;

/// The ports of the injector.
#[derive(Debug)]
pub struct InjectorPorts {
    https: Port,
}

/// The sidecar injector.
pub type Injector = Service<InjectorPorts>;

impl Injector {
    /// With free ports, injecting this image of the sidecar.
    pub fn new(sidecar_image: &str) -> Self {
        let https = Port::free();
        let number = https.number();
        Self::control_plane("injector", InjectorPorts { https })
            .arg("--port", number)
            .env("SIDECAR_IMAGE", sidecar_image)
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
        self.env("DAPR_TRUST_ANCHORS_FILE", trust_anchors.display())
            .env("DAPR_SENTRY_TOKEN_FILE", token.display())
    }

    /// Where the API server sends its reviews.
    pub fn webhook_url(&self) -> String {
        format!("https://{}/mutate", self.https_address())
    }

    /// Where it listens.
    pub fn https_address(&self) -> SocketAddr {
        self.ports.https.address()
    }
}
