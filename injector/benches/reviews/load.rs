//! Reviews at a steady rate, as the API server sends them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
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
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Of HTTP/2.
const CONNECTIONS: usize = 8;

#[derive(Clone)]
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
        let connections = Arc::new(self.connections().await);
        let body = review();
        let pause = Duration::from_secs(1) / u32::try_from(self.rate).unwrap();
        let (start, mut reviews) = (Instant::now(), JoinSet::new());
        for number in 0..count {
            let due = start + pause * number;
            sleep_until(due).await;
            let (connections, body) = (Arc::clone(&connections), body.clone());
            reviews.spawn(async move {
                let answer = connections.ask(number, body).await;
                let patched = answer.windows(11).any(|part| part == b"\"patchType\"");
                assert!(patched, "{}", String::from_utf8_lossy(&answer));
                due.elapsed()
            });
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

    /// As the API server's client: what the injector takes decides between HTTP/2 and HTTP/1.1.
    async fn connections(&self) -> Connections {
        let first = self.connect().await;
        if first.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Connections::Single(self.clone(), Mutex::default());
        }
        let mut shared = vec![multiplexed(first).await];
        while shared.len() < CONNECTIONS {
            shared.push(multiplexed(self.connect().await).await);
        }
        Connections::Multiplexed(shared)
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
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
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(self.server.clone()).unwrap();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let tls = TlsConnector::from(Arc::new(config));
        tls.connect(name, tcp).await.unwrap()
    }
}

/// Connections to one injector.
enum Connections {
    /// Of HTTP/2, in turn.
    Multiplexed(Vec<http2::SendRequest<Full<Bytes>>>),
    /// Of HTTP/1.1, one request at a time each: those that are idle, and more as they are needed.
    Single(Load, Mutex<Vec<http1::SendRequest<Full<Bytes>>>>),
}

impl Connections {
    /// The answer to the review of that `number`.
    async fn ask(&self, number: u32, body: Bytes) -> Bytes {
        match self {
            Self::Multiplexed(shared) => {
                let mut connection = shared[number as usize % shared.len()].clone();
                let request = request("https://injector/mutate", body);
                whole(connection.send_request(request).await.unwrap()).await
            }
            Self::Single(load, idle) => {
                let known = idle.lock().pop();
                let mut connection = match known {
                    Some(connection) => connection,
                    None => single(load.connect().await).await,
                };
                let answer = connection.send_request(request("/mutate", body)).await;
                let answer = whole(answer.unwrap()).await;
                connection.ready().await.unwrap();
                idle.lock().push(connection);
                answer
            }
        }
    }
}

async fn multiplexed(tls: TlsStream<TcpStream>) -> http2::SendRequest<Full<Bytes>> {
    let connected = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await;
    let (connection, driver) = connected.unwrap();
    tokio::spawn(driver);
    connection
}

async fn single(tls: TlsStream<TcpStream>) -> http1::SendRequest<Full<Bytes>> {
    let (connection, driver) = http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(driver);
    connection
}

fn request(to: &str, body: Bytes) -> Request<Full<Bytes>> {
    let request = Request::post(to)
        .header("host", "injector")
        .header("content-type", "application/json");
    request.body(Full::new(body)).unwrap()
}

async fn whole(answer: Response<Incoming>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
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
