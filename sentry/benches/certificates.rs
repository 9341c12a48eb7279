//! What a certificate costs its authority: one binary, or several in turn, with the validator that believes everybody.
//!
//! ```sh
//! cargo bench -p trilby-sentry --bench certificates -- target/release/sentry [OTHER_SENTRY ...]
//! ```
//!
//! Prints a Markdown table: certificates a second and the server's CPU for each, over connections that are kept, and
//! over a new one for each. Clients and server share the machine.

#![allow(clippy::print_stdout, reason = "the table is the output")]
#![allow(
    clippy::unwrap_used,
    reason = "what helps a benchmark fails as it does"
)]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use trilby_grpc::{Channel, ChannelConfig, Target, channel};
use trilby_identity::{Csr, Expect, KeyType, TrustBundle};
use trilby_proto::sentry::v1::{SignCertificateRequest, ca_client::CaClient};
use trilby_testkit::services::Sentry;

/// Clients at once.
const CLIENTS: usize = 16;

/// Certificates over kept connections, over new ones, and before anything is counted.
const KEPT: usize = 20_000;
const NEW: usize = 2_000;
const WARM_UP: usize = 500;

/// Upstream's finds, 2 s after it started, that somebody wrote the credentials that it wrote, and starts to serve anew.
const SETTLE: Duration = Duration::from_secs(5);

/// What is measured, in turn.
#[derive(Clone, Copy)]
enum Connections {
    Kept,
    New,
}

/// A running sentry and what its clients have in common.
struct Bench {
    sentry: Sentry,
    anchors: String,
    csr: String,
    asked: AtomicUsize,
    _dir: tempfile::TempDir,
}

#[tokio::main]
async fn main() {
    let binaries: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .map(|argument| Path::new(&argument).canonicalize().unwrap())
        .collect();
    assert!(!binaries.is_empty(), "name at least one sentry");
    println!("| sentry | connections | certificates/s | CPU ms each |");
    println!("|---|---|---|---|");
    for binary in &binaries {
        let bench = Arc::new(Bench::start(binary).await);
        bench.run(Connections::Kept, WARM_UP).await;
        for (connections, name, count) in [
            (Connections::Kept, "kept", KEPT),
            (Connections::New, "new", NEW),
        ] {
            let (cpu, began) = (bench.cpu(), Instant::now());
            bench.run(connections, count).await;
            let (seconds, cpu) = (began.elapsed().as_secs_f64(), bench.cpu() - cpu);
            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
            let count = count as f64;
            let each = cpu.as_secs_f64() * 1000.0 / count;
            println!(
                "| {} | {name} | {:.0} | {each:.3} |",
                binary.display(),
                count / seconds
            );
        }
    }
}

impl Bench {
    async fn start(binary: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sentry = Sentry::new()
            .binary(binary.to_owned())
            .arg("--issuer-credentials", dir.path().display())
            .arg("--trust-domain", "td");
        let configuration = sentry.file("config.yaml", "kind: Configuration\nspec: {}\n");
        let mut sentry = sentry.arg("--config", configuration.display());
        sentry.start().await;
        tokio::time::sleep(SETTLE).await;
        Self {
            anchors: std::fs::read_to_string(dir.path().join("ca.crt")).unwrap(),
            csr: Csr::generate(KeyType::Ed25519).unwrap().pem,
            asked: AtomicUsize::new(0),
            sentry,
            _dir: dir,
        }
    }

    async fn run(self: &Arc<Self>, connections: Connections, count: usize) {
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

    /// The server's CPU time so far, from the kernel's counters of hundredths of a second.
    fn cpu(&self) -> Duration {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.sentry.pid().unwrap())).unwrap();
        let fields: Vec<_> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }
}
