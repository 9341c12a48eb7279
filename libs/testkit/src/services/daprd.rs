use std::net::SocketAddr;
use std::path::Path;

use super::Service;
use crate::lan::Place;
use crate::ports::Port;

/// The ports of a sidecar.
#[derive(Debug)]
pub struct DaprdPorts {
    http: Port,
    grpc: Port,
    internal: Port,
    public: Port,
}

/// A sidecar.
pub type Daprd = Service<DaprdPorts>;

impl Daprd {
    /// The sidecar of this app, self-hosted, with free ports.
    pub fn new(app_id: &str) -> Self {
        let ports = DaprdPorts {
            http: Port::free(),
            grpc: Port::free(),
            internal: Port::free(),
            public: Port::free(),
        };
        let health_url = format!("http://{}/v1.0/healthz", ports.http.address());
        let mut service = Self::named("daprd", ports);
        service.health_url = health_url;
        let numbers = [
            ("--dapr-http-port", service.ports.http.number()),
            ("--dapr-grpc-port", service.ports.grpc.number()),
            ("--dapr-internal-grpc-port", service.ports.internal.number()),
            ("--dapr-public-port", service.ports.public.number()),
            ("--metrics-port", service.metrics.number()),
        ];
        numbers
            .iter()
            .fold(service, |service, (flag, port)| service.arg(flag, port))
            .arg("--app-id", app_id)
            .arg("--dapr-listen-addresses", "127.0.0.1")
            .arg("--dapr-public-listen-address", "127.0.0.1")
            .arg("--dapr-internal-grpc-listen-address", "127.0.0.1")
            .arg("--metrics-listen-address", "127.0.0.1")
            // Also what it tells others: no other address of this machine may leak into a test.
            .env("DAPR_HOST_IP", "127.0.0.1")
    }

    /// On this machine of a network. Its APIs stay on loopback, there.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self.arg("--dapr-internal-grpc-listen-address", place.address)
            .env("DAPR_HOST_IP", place.address)
    }

    /// With an app on this port.
    #[must_use]
    pub fn app_port(self, port: u16) -> Self {
        self.arg("--app-port", port)
    }

    /// In Kubernetes mode, as if in this namespace, with the rights of this kubeconfig file.
    #[must_use]
    pub fn kubernetes(self, kubeconfig: &Path, namespace: &str) -> Self {
        self.arg("--mode", "kubernetes")
            .env("KUBECONFIG", kubeconfig.display())
            .env("NAMESPACE", namespace)
    }

    /// With mutual TLS: trusts these anchors (PEM text) and proves itself to this sentry with this token.
    #[must_use]
    pub fn identity(self, sentry: SocketAddr, trust_anchors: &str, token: &Path) -> Self {
        self.raw_arg("--enable-mtls")
            .arg("--sentry-address", sentry)
            .env("DAPR_TRUST_ANCHORS", trust_anchors)
            .env("DAPR_SENTRY_TOKEN_FILE", token.display())
    }

    /// The URL of a path of its HTTP API: `url("/v1.0/metadata")`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ports.http.address())
    }

    /// Where its HTTP API listens.
    pub fn http_address(&self) -> SocketAddr {
        self.ports.http.address()
    }

    /// Where its gRPC API listens.
    pub fn grpc_address(&self) -> SocketAddr {
        self.ports.grpc.address()
    }

    /// Where other sidecars connect.
    pub fn internal_address(&self) -> SocketAddr {
        self.reached(&self.ports.internal)
    }

    /// Where health and metadata are served to the whole pod network.
    pub fn public_address(&self) -> SocketAddr {
        self.ports.public.address()
    }
}
