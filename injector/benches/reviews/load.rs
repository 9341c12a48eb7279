//! Reviews at a steady rate, as the API server sends them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_rustls::TlsConnector;

const CONNECTIONS: u32 = 8;

pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// Name in the injector's certificate.
    pub(crate) server: String,
    /// PEM.
    pub(crate) anchors: String,
    /// A second.
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
}

pub(crate) struct Figures {
    pub(crate) count: u32,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Load {
    pub(crate) async fn run(&self) -> Figures {
        let count = u32::try_from(self.rate * self.seconds).unwrap();
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(self.connect().await);
        }
        let body = review();
        let pause = Duration::from_secs(1) / u32::try_from(self.rate).unwrap();
        let (start, mut reviews) = (Instant::now(), JoinSet::new());
        for number in 0..count {
            let due = start + pause * number;
            sleep_until(due).await;
            let connection = connections[(number % CONNECTIONS) as usize].clone();
            reviews.spawn(ask(connection, body.clone(), due));
        }
        let mut times = reviews.join_all().await;
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        Figures {
            count,
            p50: at(50),
            p99: at(99),
        }
    }

    async fn connect(&self) -> http2::SendRequest<Full<Bytes>> {
        let mut roots = RootCertStore::empty();
        for anchor in CertificateDer::pem_slice_iter(self.anchors.as_bytes()) {
            roots.add(anchor.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(self.server.clone()).unwrap();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let tls = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .unwrap();
        let (connection, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
            .await
            .unwrap();
        tokio::spawn(driver);
        connection
    }
}

/// How long after `due` the answer is there.
async fn ask(
    mut connection: http2::SendRequest<Full<Bytes>>,
    body: Bytes,
    due: Instant,
) -> Duration {
    let request = Request::post("https://injector/mutate")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .unwrap();
    let answer = connection.send_request(request).await.unwrap();
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    let patched = answer.windows(11).any(|part| part == b"\"patchType\"");
    assert!(patched, "{}", String::from_utf8_lossy(&answer));
    due.elapsed()
}

/// Of a pod as a Deployment's.
fn review() -> Bytes {
    let variables: Vec<_> = (0..20)
        .map(|number| json!({"name": format!("SETTING_{number}"), "value": "a value of some length"}))
        .collect();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "generateName": "checkout-5d8f-", "labels": {"app": "checkout"},
                    "annotations": {
                        "dapr.io/enabled": "true", "dapr.io/app-id": "checkout", "dapr.io/app-port": "8080",
                        "dapr.io/config": "appconfig", "dapr.io/sidecar-memory-request": "64Mi",
                    },
                },
                "spec": {
                    "volumes": [{"name": "kube-api-access", "projected": {"sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    ]}}],
                    "containers": [{
                        "name": "app", "image": "registry.example/shop/checkout:1", "env": variables,
                        "volumeMounts": [{"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
                    }],
                    "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
                },
            },
        },
    });
    review.to_string().into()
}
