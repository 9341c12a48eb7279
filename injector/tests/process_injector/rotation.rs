//! The certificate authority changes while pods are created: a real sentry rotates its root, and with it go the webhook's
//! `caBundle` and the injector's certificate. The webhook's `failurePolicy` is `Fail`, so that no error is overlooked.

#![allow(clippy::print_stdout, reason = "how much was proven is worth knowing")]

mod load;

use std::{path::PathBuf, time::Duration};

use anyhow::ensure;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use trilby_testkit::{
    ApiServer, Kube,
    eventually::within,
    services::{Injector, Sentry},
};

use crate::{
    installation::{ACCOUNT, Installation, Rights, replace},
    workloads::bare,
};
use load::Load;

const TRUST_DOMAIN: &str = "cluster.local";
const BUNDLE: &str = "dapr-trust-bundle";
/// So long hold certificates: the injector gets another every 5 s or so.
const LIFE: &str = "10s";
const ROUNDS: u32 = 3;
/// One rotation takes three lives of a certificate on a machine that has nothing else to do.
const LIMIT: Duration = Duration::from_secs(300);

/// A control plane of a real sentry and an injector, installed as the chart does it.
struct World {
    installation: Installation,
    sentry: Sentry,
}

impl World {
    async fn start() -> Self {
        let mut installation = Installation::on(ApiServer::start().await, Rights::Chart).await;
        let namespace = installation.namespace.clone();
        let kube = Kube::clone(&installation.api);
        let sentry = start_sentry(&kube, &namespace).await;
        replace(
            &installation.anchors_file,
            &anchors(&kube, &namespace).await,
        );
        let token = token(&installation, &kube).await;
        let fail = ["dapr_sidecar_injector.webhookFailurePolicy=Fail"];
        installation.install_chart(&fail).await;
        let injector = std::mem::replace(&mut installation.injector, Injector::new(""));
        installation.injector = injector
            .identity(&installation.anchors_file, &token)
            .env("DAPR_SENTRY_ADDRESS", sentry.grpc_address());
        installation.injector.start().await;
        Self {
            installation,
            sentry,
        }
    }

    /// Has the root rotated, and waits until nobody trusts the one before.
    async fn rotate(&self, round: u32) {
        let (kube, namespace) = (&self.installation.api, &self.installation.namespace);
        let before = anchors(kube, namespace).await;
        let order = format!("dapr.io/rotate-root={round}");
        kube.kubectl(&[
            "annotate",
            "secret",
            BUNDLE,
            "-n",
            namespace,
            "--overwrite",
            &order,
        ])
        .await;
        within(
            LIMIT,
            "the root is another",
            async || -> anyhow::Result<()> {
                let now = anchors(kube, namespace).await;
                ensure!(
                    !now.contains(before.trim()),
                    "{}",
                    self.sentry.log().tail(5)
                );
                let registered = registered(&self.installation).await;
                ensure!(
                    registered.trim() == now.trim(),
                    "the webhook has {registered}"
                );
                Ok(())
            },
        )
        .await;
    }

    /// What the kubelet does for the injector: the file is what the ConfigMap says.
    async fn follow_anchors(&self) -> ! {
        let (kube, namespace) = (&self.installation.api, &self.installation.namespace);
        loop {
            let now = anchors(kube, namespace).await;
            replace(&self.installation.anchors_file, &now);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_pod_is_refused_while_the_authority_changes_again_and_again() {
    let world = World::start().await;
    let installation = &world.installation;
    let namespace = installation.api.namespace("shop").await;
    let mut pod = bare(&namespace, "asks", &json!({}));
    pod["metadata"] = json!({
        "generateName": "asks-", "namespace": namespace,
        "annotations": pod["metadata"]["annotations"],
    });
    let creations = Load::of_pods(&installation.api, pod).await;
    let handshakes = Load::of_handshakes(installation).await;
    let rotations = async {
        for round in 1..=ROUNDS {
            world.rotate(round).await;
        }
    };
    tokio::select! {
        () = rotations => {}
        _never = world.follow_anchors() => {}
    }
    let (created, shaken) = (creations.end().await, handshakes.end().await);
    println!("{created:?}; {shaken:?}");
    assert_eq!(created.failures, Vec::<String>::new());
    assert_eq!(shaken.failures, Vec::<String>::new());
    assert!(created.count > 1000, "{created:?}");
    assert!(shaken.certificates > 4, "{shaken:?}");
}

async fn start_sentry(kube: &Kube, namespace: &str) -> Sentry {
    let metadata = |name: &str| json!({"name": name, "namespace": namespace});
    let mut sentry = Sentry::new()
        .kubernetes(kube.kubeconfig(), namespace)
        .arg("--trust-domain", TRUST_DOMAIN);
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata(BUNDLE)},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(BUNDLE)},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("dapr-trust-evidence")},
        {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": metadata("daprsystem"),
         "spec": {"mtls": {
            "enabled": true, "sentryAddress": sentry.grpc_address().to_string(),
            "controlPlaneTrustDomain": TRUST_DOMAIN, "workloadCertTTL": LIFE, "allowedClockSkew": "1m",
         }}},
    ]});
    let objects = objects.to_string();
    kube.eventually("the definitions are served", async |kube| {
        kube.try_apply(&objects).await
    })
    .await;
    sentry.start().await;
    sentry
}

/// The token of the injector's pod, which is only an object.
async fn token(installation: &Installation, kube: &Kube) -> PathBuf {
    let namespace = &installation.namespace;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "injector", "namespace": namespace,
            "annotations": {"dapr.io/control-plane": "injector"},
        },
        "spec": {
            "serviceAccountName": ACCOUNT,
            "containers": [{"name": "injector", "image": "registry.example/injector:1"}],
        },
    });
    kube.apply(&pod.to_string()).await;
    let audience = format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/dapr-sentry");
    let token = kube.pod_token(namespace, "injector", &audience).await;
    installation.injector.file("pod-token", &token)
}

/// What everybody is to trust.
async fn anchors(kube: &Kube, namespace: &str) -> String {
    let object = format!("configmap/{BUNDLE}");
    kube.eventually("the trust anchors are published", async |kube| {
        let bundle = kube.try_get_json(namespace, &object).await?;
        let anchors = bundle["data"]["ca.crt"].as_str().unwrap_or_default();
        ensure!(!anchors.is_empty(), "no ca.crt");
        Ok(anchors.to_owned())
    })
    .await
}

/// What the API server trusts when it calls the injector.
async fn registered(installation: &Installation) -> String {
    let webhook = installation.webhook().await;
    let bundle = webhook["clientConfig"]["caBundle"].as_str();
    let bundle = STANDARD.decode(bundle.unwrap_or_default()).unwrap();
    String::from_utf8(bundle).unwrap()
}
