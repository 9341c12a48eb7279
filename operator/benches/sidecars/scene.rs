//! An API server, a control plane's namespace, an app's, and an operator with the rights that the chart gives it.

use std::{path::Path, time::Duration};

use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use trilby_testkit::{ApiServer, ports::Port, services::Operator};

use crate::{
    authority::{Authority, Served, TRUST_DOMAIN},
    rights, setting,
};

const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr/crds");

/// What follows the start at once is over.
const SETTLED: Duration = Duration::from_secs(5);

pub(crate) struct Scene {
    pub api: ApiServer,
    /// The administrator's.
    pub client: Client,
    pub authority: Authority,
    pub system: String,
    pub shop: String,
    pub operator: Operator,
    _served: Served,
    _sentry: Port,
}

impl Scene {
    /// Everything runs, and the operator is ready.
    pub(crate) async fn start(binary: &Path) -> Self {
        let api = ApiServer::start_audited().await;
        for file in std::fs::read_dir(CRDS).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            api.apply(&text).await;
        }
        let (system, shop) = (api.namespace("system").await, api.namespace("shop").await);
        let (authority, sentry) = (Authority::new(), Port::free());
        let served = authority.serve(sentry.address(), &system).await;
        let configuration = configuration(&system, &sentry).to_string();
        api.eventually("the definitions are served", async |kube| {
            kube.try_apply(&configuration).await
        })
        .await;
        let kubeconfig = rights::grant(&api, &system).await;
        if setting("ALL_RIGHTS", 0) == 1 {
            let account = format!("--serviceaccount={system}:{}", rights::ACCOUNT);
            let all = [
                "create",
                "clusterrolebinding",
                "all",
                "--clusterrole=cluster-admin",
            ];
            api.kubectl(&[&all[..], &[account.as_str()]].concat()).await;
        }
        let operator = Operator::new().binary(binary.to_owned());
        let anchors = operator.file("ca.crt", &authority.anchors());
        let token = operator.file("token", "any");
        let mut operator = operator
            .kubernetes(&kubeconfig, &system)
            .identity(&anchors, &token)
            // Upstream's finds the namespace of its lease only inside a cluster.
            .raw_arg("--disable-leader-election")
            .env("ENABLE_WEBHOOKS", "false");
        operator.start().await;
        tokio::time::sleep(SETTLED).await;
        Self {
            client: client(&api).await,
            api,
            authority,
            system,
            shop,
            operator,
            _served: served,
            _sentry: sentry,
        }
    }

    /// Applies a component of the app's namespace, with the request that `kubectl apply --server-side` makes:
    /// `kubectl` itself takes longer to start than what is measured here.
    pub(crate) async fn apply_component(&self, name: &str, value: &str) {
        let component = json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component",
            "metadata": {"name": name},
            "spec": {"type": "state.redis", "version": "v1", "metadata": [
                {"name": "redisHost", "value": "redis:6379"},
                {"name": "redisDB", "value": value},
                {"name": "enableTLS", "value": "false"},
                {"name": "maxRetries", "value": "3"},
            ]},
        });
        let kind = GroupVersionKind::gvk("dapr.io", "v1alpha1", "Component");
        let kind = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.shop, &kind);
        let parameters = PatchParams::apply("bench").force();
        let patch = Patch::Apply(component);
        api.patch(name, &parameters, &patch).await.unwrap();
    }

    /// As a user does whose component takes its password from a Secret, which is there as well.
    pub(crate) async fn apply_component_with_secret(&self, name: &str) {
        let metadata = json!({"name": name, "namespace": self.shop});
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "any"}},
            {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": metadata,
             "spec": {"type": "state.redis", "version": "v1", "metadata": [
                {"name": "redisPassword", "secretKeyRef": {"name": name, "key": "password"}},
             ]}},
        ]});
        self.api.apply(&objects.to_string()).await;
    }
}

async fn client(api: &ApiServer) -> Client {
    let file = Kubeconfig::read_from(api.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn configuration(system: &str, sentry: &Port) -> Value {
    json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration",
        "metadata": {"name": "daprsystem", "namespace": system},
        "spec": {"mtls": {
            "enabled": true,
            "controlPlaneTrustDomain": TRUST_DOMAIN,
            "sentryAddress": sentry.address().to_string(),
        }},
    })
}
