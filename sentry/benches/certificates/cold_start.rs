//! A whole cluster that starts at once: pods of a real API server, with tokens of it, all ask together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use k8s_openapi::{
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{Pod, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use trilby_grpc::{ChannelConfig, Target, channel};
use trilby_identity::{Csr, Expect, KeyType, TrustBundle};
use trilby_proto::sentry::v1::{SignCertificateRequest, ca_client::CaClient};
use trilby_testkit::{
    ApiServer,
    mesh::{TRUST_DOMAIN, install_crds},
    services::Sentry,
};

/// Pods that start at once.
const PODS: usize = 2_000;

/// Requests to the API server at once, while pods and tokens are made.
const MAKERS: usize = 32;

/// A pod, and its token.
struct Workload {
    id: String,
    token: String,
}

/// Whom all ask.
struct Asked {
    sentry: Sentry,
    anchors: String,
    identity: String,
    namespace: String,
    /// Upstream's looks at that directory for as long as it runs.
    _credentials: tempfile::TempDir,
}

pub(crate) async fn run(binaries: &[PathBuf]) {
    println!("| sentry | identities | all after s | median after s | tried again |");
    println!("|---|---|---|---|---|");
    for binary in binaries {
        let api = ApiServer::start().await;
        install_crds(&api).await;
        let shop = api.namespace("shop").await;
        let asked = Arc::new(start(binary, &api, shop).await);
        let workloads = workloads(&api, &asked).await;
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for workload in workloads {
            clients.spawn(identity(Arc::clone(&asked), workload, began));
        }
        let mut outcomes = clients.join_all().await;
        outcomes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let again: usize = outcomes.iter().map(|(_, again)| again).sum();
        let (median, last) = (outcomes[PODS / 2].0, outcomes[PODS - 1].0);
        println!(
            "| {} | {PODS} | {last:.1} | {median:.1} | {again} |",
            binary.display()
        );
    }
}

/// A sentry as the chart installs it.
async fn start(binary: &Path, api: &ApiServer, shop: String) -> Asked {
    let system = api.namespace("dapr-system").await;
    let metadata = |name: &str| json!({"name": name, "namespace": system});
    for object in [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("dapr-trust-bundle")}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("dapr-trust-bundle")}),
        json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": metadata("daprsystem"),
            "spec": {"mtls": {"enabled": true, "sentryAddress": "unused:443", "controlPlaneTrustDomain": TRUST_DOMAIN}},
        }),
    ] {
        api.apply(&object.to_string()).await;
    }
    let credentials = tempfile::tempdir().unwrap();
    let mut sentry = Sentry::new()
        .kubernetes(api.kubeconfig(), &system)
        .arg("--trust-domain", TRUST_DOMAIN)
        .arg("--issuer-credentials", credentials.path().display())
        .binary(binary.to_owned());
    sentry.start().await;
    let bundle = api.get_json(&system, "configmap/dapr-trust-bundle").await;
    Asked {
        sentry,
        anchors: bundle["data"]["ca.crt"].as_str().unwrap().to_owned(),
        identity: format!("spiffe://{TRUST_DOMAIN}/ns/{system}/dapr-sentry"),
        namespace: shop,
        _credentials: credentials,
    }
}

async fn workloads(api: &ApiServer, asked: &Asked) -> Vec<Workload> {
    let kubeconfig = Kubeconfig::read_from(api.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let client = Client::try_from(config.unwrap()).unwrap();
    let turns = Arc::new(Semaphore::new(MAKERS));
    let mut makers = JoinSet::new();
    for number in 0..PODS {
        let (client, turns) = (client.clone(), Arc::clone(&turns));
        let (namespace, audience) = (asked.namespace.clone(), asked.identity.clone());
        makers.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            workload(&client, (&namespace, &audience), number).await
        });
    }
    makers.join_all().await
}

async fn workload(client: &Client, (namespace, audience): (&str, &str), number: usize) -> Workload {
    let id = format!("app-{number}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": id, "namespace": namespace, "annotations": {"dapr.io/app-id": id}},
        "spec": {"containers": [{"name": "app", "image": "example.org/app:1"}]},
    });
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = serde_json::from_value(pod).unwrap();
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    let request = TokenRequest {
        metadata: ObjectMeta::default(),
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(id.clone()),
                uid: pod.metadata.uid,
            }),
            expiration_seconds: Some(3600),
        },
        status: None,
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let parameters = PostParams::default();
    let issued = accounts.create_token_request("default", &parameters, &request);
    let token = issued.await.unwrap().status.unwrap().token;
    Workload { id, token }
}

/// Asks until there is a certificate; gives when, and how often it was tried again.
async fn identity(asked: Arc<Asked>, workload: Workload, began: Instant) -> (f64, usize) {
    let mut again = 0;
    loop {
        let csr = Csr::generate(KeyType::Ed25519).unwrap().pem;
        let bundle = TrustBundle::from_pem(asked.anchors.as_bytes()).unwrap();
        let (_publisher, identity) = trilby_identity::channel(bundle);
        let tls = identity.client_tls(Expect::Exact(asked.identity.parse().unwrap()));
        let address = asked.sentry.grpc_address();
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
        };
        let channel = channel(target, Some(tls), ChannelConfig::default()).unwrap();
        let request = SignCertificateRequest {
            id: workload.id.clone(),
            namespace: asked.namespace.clone(),
            token: workload.token.clone(),
            certificate_signing_request: csr.into(),
            ..SignCertificateRequest::default()
        };
        match CaClient::new(channel).sign_certificate(request).await {
            Ok(_) => return (began.elapsed().as_secs_f64(), again),
            Err(status) => {
                again += 1;
                assert!(again < 100, "{status}");
            }
        }
    }
}
