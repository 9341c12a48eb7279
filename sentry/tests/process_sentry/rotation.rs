//! The root rotates, and nobody notices.

mod bridgeless;
mod cluster;
mod crash;
mod evidence;
mod load;
mod recovery;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trilby_identity::{Anchors, Identity, KeyType, TrustDomain};
use trilby_sentry_client::{Config, ControlPlane, Hooks, Mode, TokenSource, start};
use trilby_testkit::{
    ApiServer,
    mesh::{TRUST_DOMAIN, install_crds},
    services::Sentry,
    unexpected,
};

use crate::caller::Caller;

const BUNDLE: &str = "dapr-trust-bundle";

/// For what takes several lives of a certificate, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_mins(5);

/// A workload with our client, until it is dropped.
struct Workload {
    identity: Identity,
    cancel: CancellationToken,
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Whose sentry a workload asks, and from where.
struct Home<'a> {
    sentry: String,
    /// Where the control plane is.
    system: &'a str,
    /// Where the workload is.
    namespace: &'a str,
    token: Option<&'a Path>,
}

impl Home<'_> {
    async fn workload(&self, app_id: &str, anchors: Anchors) -> Workload {
        let trust_domain = TrustDomain::parse(TRUST_DOMAIN).unwrap();
        let token = self.token.map(|path| TokenSource::File {
            path: path.to_owned(),
            mode: Mode::Kubernetes,
        });
        let config = Config {
            sentry_address: self.sentry.clone(),
            control_plane: ControlPlane::new(trust_domain, self.system).unwrap(),
            app_id: app_id.to_owned(),
            namespace: self.namespace.to_owned(),
            token: token.unwrap_or(TokenSource::Absent),
            key_type: KeyType::Ed25519,
            jwt_audiences: Vec::new(),
            anchors,
        };
        let cancel = CancellationToken::new();
        let hooks = Hooks {
            metrics: prometheus::Registry::new(),
            cancel: cancel.clone(),
            health: Arc::new(|_health| {}),
        };
        let (identity, renewal) = start(config, hooks).unwrap();
        tokio::spawn(renewal);
        identity.wait_first(LIMIT).await.unwrap();
        Workload { identity, cancel }
    }
}

/// What the chart makes, for certificates that hold so long.
async fn objects(api: &ApiServer, namespace: &str, ttl: &str) {
    let metadata = |name: &str| json!({"name": name, "namespace": namespace});
    for object in [
        json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": metadata("daprsystem"),
            "spec": {"mtls": {
                "enabled": true, "sentryAddress": "unused:443", "controlPlaneTrustDomain": TRUST_DOMAIN,
                "workloadCertTTL": ttl, "allowedClockSkew": "1m",
            }},
        }),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(BUNDLE)}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(BUNDLE)}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("dapr-trust-evidence")}),
    ] {
        api.apply(&object.to_string()).await;
    }
}

/// The API server of all tests, and in a namespace of its own a control plane's objects, for certificates that hold so
/// long.
async fn control_plane(ttl: &str) -> (&'static ApiServer, String) {
    let api = ApiServer::shared().await;
    install_crds(api).await;
    let system = api.namespace("dapr-system").await;
    objects(api, &system, ttl).await;
    (api, system)
}

/// A kubeconfig with rights in a namespace alone. Pods of other tests, which have the same API server, do not count then.
async fn confined(api: &ApiServer, namespace: &str) -> PathBuf {
    let account = "confined-sentry";
    let who = format!("--serviceaccount={namespace}:{account}");
    let reviewer = format!("reviews-of-{namespace}");
    let reviews = "--clusterrole=system:auth-delegator";
    for create in [
        &["serviceaccount", account][..],
        &["rolebinding", account, "--clusterrole=cluster-admin", &who],
        &["clusterrolebinding", &reviewer, reviews, &who],
    ] {
        let create = [&["-n", namespace, "create"], create].concat();
        api.kubectl(&create).await;
    }
    api.kubeconfig_of(namespace, account).await
}

/// The same, and a replica that runs.
async fn replica(ttl: &str) -> (&'static ApiServer, String, Sentry) {
    let (api, system) = control_plane(ttl).await;
    let mut sentry = sentry(api.kubeconfig(), &system);
    sentry.start().await;
    (api, system, sentry)
}

fn sentry(kubeconfig: &Path, namespace: &str) -> Sentry {
    Sentry::new()
        .kubernetes(kubeconfig, namespace)
        .arg("--trust-domain", TRUST_DOMAIN)
}

async fn annotate(api: &ApiServer, namespace: &str, annotation: &str) {
    let secret = ["annotate", "secret", BUNDLE, "-n", namespace, "--overwrite"];
    api.kubectl(&[&secret[..], &[annotation]].concat()).await;
}

async fn config_map(api: &ApiServer, namespace: &str, key: &str) -> String {
    let found = api
        .get_json(namespace, &format!("configmap/{BUNDLE}"))
        .await;
    found["data"][key].as_str().unwrap_or_default().to_owned()
}

/// Deletes a pod that no node runs.
async fn delete_pod(api: &ApiServer, namespace: &str, name: &str) {
    let at_once = ["--grace-period=0", "--force"];
    let delete = ["-n", namespace, "delete", "pod", name];
    api.kubectl(&[&delete[..], &at_once].concat()).await;
}

/// The published status, as soon as `wanted` says so.
async fn status(api: &ApiServer, namespace: &str, wanted: impl Fn(&str) -> bool) -> String {
    trilby_testkit::eventually::within(LIMIT, "the status", async || {
        let status = config_map(api, namespace, "status").await;
        match wanted(&status) {
            true => Ok(status),
            false => Err(unexpected(&status)),
        }
    })
    .await
}

async fn secret(api: &ApiServer, namespace: &str) -> Value {
    api.get_json(namespace, &format!("secret/{BUNDLE}")).await["data"].clone()
}

fn caller(sentry: &Sentry, namespace: &str, anchors: &str) -> Caller {
    Caller {
        sentry: sentry.grpc_address(),
        sentry_id: format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/dapr-sentry")
            .parse()
            .unwrap(),
        anchors: anchors.to_owned(),
    }
}
