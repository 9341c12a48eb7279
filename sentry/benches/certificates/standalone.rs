//! A sentry alone with files, which believes everybody, and its clients.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use trilby_grpc::{Channel, ChannelConfig, Target, channel};
use trilby_identity::{Csr, Expect, KeyType, TrustBundle};
use trilby_proto::sentry::v1::{SignCertificateRequest, ca_client::CaClient};
use trilby_testkit::services::Sentry;

/// Clients at once.
const CLIENTS: usize = 16;

/// How clients connect.
#[derive(Clone, Copy)]
pub(crate) enum Connections {
    Kept,
    New,
}

/// A running sentry and what its clients have in common.
pub(crate) struct Bench {
    sentry: Sentry,
    anchors: String,
    csr: String,
    asked: AtomicUsize,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn start(binary: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sentry = Sentry::new()
            .binary(binary.to_owned())
            .arg("--issuer-credentials", dir.path().display())
            .arg("--trust-domain", "td");
        let configuration = sentry.file("config.yaml", "kind: Configuration\nspec: {}\n");
        let mut sentry = sentry.arg("--config", configuration.display());
        // Upstream's begins anew when it sees the credentials that it wrote itself: this time it only reads them.
        sentry.start().await;
        sentry.stop().await;
        sentry.start().await;
        Self {
            anchors: std::fs::read_to_string(dir.path().join("ca.crt")).unwrap(),
            csr: Csr::generate(KeyType::Ed25519).unwrap().pem,
            asked: AtomicUsize::new(0),
            sentry,
            _dir: dir,
        }
    }

    /// Asks for so many certificates, each for somebody else.
    pub(crate) async fn run(self: &Arc<Self>, connections: Connections, count: usize) {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(Arc::clone(self).client(connections, count / CLIENTS));
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    }

    async fn client(self: Arc<Self>, connections: Connections, count: usize) {
        let mut kept = CaClient::new(self.connect());
        for _ in 0..count {
            if matches!(connections, Connections::New) {
                kept = CaClient::new(self.connect());
            }
            // Every one is somebody else: nobody renews so often.
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let request = SignCertificateRequest {
                id: format!("app-{number}"),
                namespace: "default".to_owned(),
                certificate_signing_request: self.csr.clone().into(),
                ..SignCertificateRequest::default()
            };
            kept.sign_certificate(request).await.unwrap();
        }
    }

    fn connect(&self) -> Channel {
        let bundle = TrustBundle::from_pem(self.anchors.as_bytes()).unwrap();
        let (_publisher, identity) = trilby_identity::channel(bundle);
        let sentry = "spiffe://td/ns/default/dapr-sentry".parse().unwrap();
        let tls = identity.client_tls(Expect::Exact(sentry));
        let address = self.sentry.grpc_address();
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
        };
        channel(target, Some(tls), ChannelConfig::default()).unwrap()
    }

    /// The server's CPU time so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.sentry.cpu()
    }

    /// The server's resident memory, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        self.sentry.memory().resident / 1024
    }
}
