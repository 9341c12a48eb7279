//! A control plane of our programs as processes, against a real API server: real tokens, real certificates, no pods.
//!
//! The pods that sentry looks for are objects that nobody runs; the programs get the tokens that those pods would.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::ApiServer;
use crate::kube::Kube;
use crate::services::{Daprd, Injector, Operator, Placement, Sentry};
use crate::state_dir::StateDir;

/// The control plane's trust domain, the chart's default.
pub const TRUST_DOMAIN: &str = "cluster.local";

const CHART_CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/dapr/crds");
const BUNDLE: &str = "dapr-trust-bundle";

/// A sentry that runs, and what the other services need to join it.
#[derive(Debug)]
pub struct Mesh {
    kube: Kube,
    namespace: String,
    /// The certificate authority, to be stopped and started by the test.
    pub sentry: Sentry,
    anchors: String,
    dir: StateDir,
}

impl Mesh {
    /// Makes a namespace with what the chart puts there, installs the CRDs, starts sentry.
    ///
    /// # Panics
    /// If a step fails.
    pub async fn start(api: &ApiServer) -> Self {
        let kube = Kube::clone(api);
        let namespace = kube.namespace("dapr-system").await;
        install_crds(&kube).await;
        let sentry = Sentry::new()
            .kubernetes(kube.kubeconfig(), &namespace)
            .arg("--trust-domain", TRUST_DOMAIN);
        kube.apply(&chart_objects(&namespace, &sentry)).await;
        let mut mesh = Self {
            kube,
            namespace,
            sentry,
            anchors: String::new(),
            dir: StateDir::create("mesh"),
        };
        mesh.sentry.start().await;
        mesh.anchors = mesh.published_anchors().await;
        std::fs::write(mesh.anchors_file(), &mesh.anchors).expect("the directory is writable");
        mesh
    }

    /// The namespace of the control plane.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The administrator's handle on the API server.
    pub fn kube(&self) -> &Kube {
        &self.kube
    }

    /// The trust anchors, PEM.
    pub fn anchors(&self) -> &str {
        &self.anchors
    }

    /// A file with the trust anchors.
    pub fn anchors_file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// The audience that sentry's tokens must have: its SPIFFE ID.
    pub fn audience(&self) -> String {
        format!("spiffe://{TRUST_DOMAIN}/ns/{}/dapr-sentry", self.namespace)
    }

    /// An operator, not started.
    ///
    /// # Panics
    /// If the API server refuses its pod or token.
    pub async fn operator(&self) -> Operator {
        let token = self.control_plane_token("operator").await;
        Operator::new()
            .kubernetes(self.kube.kubeconfig(), &self.namespace)
            .identity(&self.anchors_file(), &token)
            // The definition of Subscriptions is the cluster's: control planes of several tests would fight for it.
            .env("ENABLE_WEBHOOKS", "false")
    }

    /// An injector, not started.
    ///
    /// # Panics
    /// If the API server refuses its pod or token.
    pub async fn injector(&self, sidecar_image: &str) -> Injector {
        let token = self.control_plane_token("injector").await;
        Injector::new(sidecar_image)
            .kubernetes(self.kube.kubeconfig(), &self.namespace)
            .identity(&self.anchors_file(), &token)
            .env("DAPR_CONTROL_PLANE_TRUST_DOMAIN", TRUST_DOMAIN)
            .env("DAPR_SENTRY_ADDRESS", self.sentry.grpc_address())
    }

    /// A placement service, not started.
    ///
    /// # Panics
    /// If the API server refuses its pod or token.
    pub async fn placement(&self) -> Placement {
        let token = self.control_plane_token("placement").await;
        Placement::new()
            .identity(&self.anchors_file(), &token)
            .arg("--mode", "kubernetes")
            .arg("--trust-domain", TRUST_DOMAIN)
            .arg("--sentry-address", self.sentry.grpc_address())
            .env("NAMESPACE", &self.namespace)
    }

    /// A sidecar in Kubernetes mode for an app of `namespace`, not started; `control_plane` is the operator it asks.
    ///
    /// # Panics
    /// If the API server refuses its pod or token.
    pub async fn daprd(&self, namespace: &str, app_id: &str, control_plane: &Operator) -> Daprd {
        let annotations = json!({"dapr.io/enabled": "true", "dapr.io/app-id": app_id});
        let pod = Pod {
            namespace,
            name: app_id,
            account: "default",
            annotations,
        };
        let token = self.token_of(pod).await;
        Daprd::new(app_id)
            .kubernetes(self.kube.kubeconfig(), namespace)
            .identity(self.sentry.grpc_address(), &self.anchors, &token)
            .arg("--control-plane-address", control_plane.grpc_address())
            .arg("--control-plane-namespace", &self.namespace)
            .arg("--control-plane-trust-domain", TRUST_DOMAIN)
            .env("POD_NAME", app_id)
            .env("DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK", "true")
    }

    async fn control_plane_token(&self, service: &str) -> PathBuf {
        let account = format!("dapr-{service}");
        self.kube.service_account(&self.namespace, &account).await;
        let annotations = json!({"dapr.io/control-plane": service});
        self.token_of(Pod {
            namespace: &self.namespace,
            name: &account,
            account: &account,
            annotations,
        })
        .await
    }

    async fn token_of(&self, pod: Pod<'_>) -> PathBuf {
        self.kube.apply(&pod.manifest()).await;
        let token = self
            .kube
            .pod_token(pod.namespace, pod.name, &self.audience())
            .await;
        let path = self
            .dir
            .join(format!("{}.{}.token", pod.namespace, pod.name));
        std::fs::write(&path, token).expect("the directory is writable");
        path
    }

    async fn published_anchors(&self) -> String {
        let object = format!("configmap/{BUNDLE}");
        self.kube
            .eventually("the trust anchors are published", async |kube| {
                let bundle = kube.try_get_json(&self.namespace, &object).await?;
                published(&bundle)
            })
            .await
    }
}

fn published(bundle: &Value) -> Result<String> {
    let anchors = bundle["data"]["ca.crt"].as_str();
    Ok(anchors.context("no ca.crt yet")?.to_owned())
}

/// A pod that is only an object.
struct Pod<'a> {
    namespace: &'a str,
    name: &'a str,
    account: &'a str,
    annotations: Value,
}

impl Pod<'_> {
    fn manifest(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": self.name, "namespace": self.namespace, "annotations": self.annotations,
            },
            "spec": {
                "serviceAccountName": self.account,
                "containers": [{"name": "app", "image": "e2e.local/none:1"}],
            },
        })
        .to_string()
    }
}

/// Installs the chart's CRDs and waits until the API server serves them.
///
/// # Panics
/// If one is refused.
pub async fn install_crds(kube: &Kube) {
    assert!(
        Path::new(CHART_CRDS).is_dir(),
        "{CHART_CRDS} is no directory"
    );
    // On the server: two tests that install at once must not both create.
    let apply = ["apply", "--server-side", "--force-conflicts"];
    kube.kubectl(&[&apply[..], &["-f", CHART_CRDS]].concat())
        .await;
    let wait = [
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "-f",
        CHART_CRDS,
    ];
    kube.kubectl(&wait).await;
}

/// What the chart renders for sentry, the operator and the injector to start from.
fn chart_objects(namespace: &str, sentry: &Sentry) -> String {
    let metadata = json!({"name": BUNDLE, "namespace": namespace});
    json!({
        "apiVersion": "v1", "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata},
            {
                "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration",
                "metadata": {"name": "daprsystem", "namespace": namespace},
                "spec": {"mtls": {
                    "enabled": true,
                    "controlPlaneTrustDomain": TRUST_DOMAIN,
                    "sentryAddress": sentry.grpc_address().to_string(),
                    "workloadCertTTL": "24h",
                    "allowedClockSkew": "15m",
                }},
            },
        ],
    })
    .to_string()
}
