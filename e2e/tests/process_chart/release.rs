//! A release of the chart whose services run as processes, each with the rights and the token that its pod would have.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use trilby_testkit::ApiServer;
use trilby_testkit::eventually::within;
use trilby_testkit::mesh::TRUST_DOMAIN;
use trilby_testkit::services::{Daprd, Injector, Operator, Placement, Sentry, Service};

use crate::{CHART, LIMIT, NAMESPACE};

/// An installed release whose services are ready.
pub(crate) struct Release {
    pub(crate) api: ApiServer,
    pub(crate) operator: Operator,
    sentry: Sentry,
    anchors: String,
    _injector: Injector,
    _placement: Placement,
}

impl Release {
    /// Installs the chart with these values on an API server of its own, and starts what it installs.
    pub(crate) async fn start(values: &str) -> Self {
        let api = ApiServer::start_audited().await;
        let sentry = install(&api, values).await;
        let anchors = anchors(&api).await;
        let operator = operator(&api, &anchors).await;
        let injector = injector(&api, &anchors, &sentry).await;
        let placement = placement(&api, &anchors, &sentry).await;
        Self {
            api,
            operator,
            sentry,
            anchors,
            _injector: injector,
            _placement: placement,
        }
    }

    /// The sidecar of an app in this namespace, ready.
    pub(crate) async fn sidecar(&self, namespace: &str, app_id: &str) -> Daprd {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": app_id, "namespace": namespace,
                "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": app_id},
            },
            "spec": {"containers": [{"name": "app", "image": "e2e.local/none:1"}]},
        });
        self.api.apply(&pod.to_string()).await;
        let sidecar = Daprd::new(app_id);
        let token = self.api.pod_token(namespace, app_id, &audience()).await;
        let token = sidecar.file("token", &token);
        let config = self.api.kubeconfig_of(namespace, "default").await;
        let mut sidecar = sidecar
            .kubernetes(&config, namespace)
            .identity(self.sentry.grpc_address(), &self.anchors, &token)
            .arg("--control-plane-address", self.operator.grpc_address())
            .arg("--control-plane-namespace", NAMESPACE)
            .arg("--control-plane-trust-domain", TRUST_DOMAIN)
            .env("POD_NAME", app_id)
            .env("DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK", "true");
        sidecar.start().await;
        sidecar
    }
}

/// Installs the chart; gives its sentry, running.
async fn install(api: &ApiServer, values: &str) -> Sentry {
    api.namespace_named(NAMESPACE).await;
    let sentry = Sentry::new();
    let address = sentry.grpc_address();
    let values = format!("global.mtls.sentryAddress={address},{values}");
    let arguments = ["install", "dapr", CHART, "-n", NAMESPACE, "--set", &values];
    api.helm(&arguments).await;
    let config = api.kubeconfig_of(NAMESPACE, "dapr-sentry").await;
    let mut sentry = sentry
        .kubernetes(&config, NAMESPACE)
        .arg("--trust-domain", TRUST_DOMAIN);
    sentry.start().await;
    sentry
}

async fn operator(api: &ApiServer, anchors: &str) -> Operator {
    let operator = Operator::new();
    let own = identity(api, "operator", &operator, anchors).await;
    let mut operator = operator
        .kubernetes(&own.config, NAMESPACE)
        .identity(&own.anchors, &own.token);
    for argument in arguments(api, "dapr-operator").await {
        operator = operator.raw_arg(&argument);
    }
    operator.start().await;
    operator
}

async fn injector(api: &ApiServer, anchors: &str, sentry: &Sentry) -> Injector {
    let injector = Injector::new("e2e.local/daprd:1");
    let own = identity(api, "injector", &injector, anchors).await;
    let mut injector = injector
        .kubernetes(&own.config, NAMESPACE)
        .identity(&own.anchors, &own.token)
        .env("DAPR_CONTROL_PLANE_TRUST_DOMAIN", TRUST_DOMAIN)
        .env("DAPR_SENTRY_ADDRESS", sentry.grpc_address())
        .env("WATCH_NAMESPACE", watch_namespace(api).await);
    injector.start().await;
    injector
}

/// Which namespace the release confines its injector to; empty for none.
async fn watch_namespace(api: &ApiServer) -> String {
    let object = api
        .get_json(NAMESPACE, "deployment/dapr-sidecar-injector")
        .await;
    let env = object["spec"]["template"]["spec"]["containers"][0]["env"].as_array();
    let all = env.into_iter().flatten();
    let own = all
        .filter(|variable| variable["name"] == "WATCH_NAMESPACE")
        .find_map(|variable| variable["value"].as_str());
    own.unwrap_or_default().to_owned()
}

async fn placement(api: &ApiServer, anchors: &str, sentry: &Sentry) -> Placement {
    let placement = Placement::new();
    let own = identity(api, "placement", &placement, anchors).await;
    let mut placement = placement
        .identity(&own.anchors, &own.token)
        .arg("--mode", "kubernetes")
        .arg("--trust-domain", TRUST_DOMAIN)
        .arg("--sentry-address", sentry.grpc_address())
        .env("NAMESPACE", NAMESPACE);
    placement.start().await;
    placement
}

fn audience() -> String {
    format!("spiffe://{TRUST_DOMAIN}/ns/{NAMESPACE}/dapr-sentry")
}

/// The trust anchors, once sentry has published them.
async fn anchors(api: &ApiServer) -> String {
    within(LIMIT, "the trust anchors are published", async || {
        let bundle = api
            .try_get_json(NAMESPACE, "configmap/dapr-trust-bundle")
            .await?;
        let anchors = bundle["data"]["ca.crt"].as_str();
        anyhow::Ok(anchors.context("no ca.crt yet")?.to_owned())
    })
    .await
}

/// Files that a service proves itself with.
struct Identity {
    /// The kubeconfig of its account.
    config: PathBuf,
    anchors: PathBuf,
    /// Of the pod that the release has for it.
    token: PathBuf,
}

async fn identity<P>(
    api: &ApiServer,
    service: &str,
    program: &Service<P>,
    anchors: &str,
) -> Identity {
    let account = format!("dapr-{service}");
    let config = api.kubeconfig_of(NAMESPACE, &account).await;
    let pod = within(LIMIT, "the release has a pod of it", async || {
        let pods = api.try_get_json(NAMESPACE, "pods").await?;
        pod_of(&pods, service)
    })
    .await;
    let token = api.pod_token(NAMESPACE, &pod, &audience()).await;
    Identity {
        config,
        anchors: program.file("ca.crt", anchors),
        token: program.file("token", &token),
    }
}

fn pod_of(pods: &Value, service: &str) -> Result<String> {
    let all = pods["items"].as_array().context("a list")?;
    let own = all
        .iter()
        .find(|pod| pod["metadata"]["annotations"]["dapr.io/control-plane"] == service);
    let name = own.context("none yet")?["metadata"]["name"].as_str();
    Ok(name.context("a name")?.to_owned())
}

/// The arguments of a workload that decide what it asks the API server, as the release renders them.
async fn arguments(api: &ApiServer, deployment: &str) -> Vec<String> {
    let what = format!("deployment/{deployment}");
    let object = api.get_json(NAMESPACE, &what).await;
    let all = object["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let all: Vec<String> = serde_json::from_value(all).expect("arguments are text");
    let deciding = ["--watch-namespace", "--validation", "--watch-interval"];
    all.windows(2)
        .filter(|pair| deciding.contains(&pair[0].as_str()))
        .map(|pair| format!("{}={}", pair[0], pair[1]))
        .collect()
}
