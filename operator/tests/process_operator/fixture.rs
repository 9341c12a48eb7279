//! A control plane's namespace, an app's namespace, an operator, and sidecars that are only clients.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::{Status, Streaming};
use trilby_grpc::{Channel, ChannelConfig, Target};
use trilby_identity::Expect;
use trilby_proto::operator::v1::{
    self as proto, ResourceEventType, operator_client::OperatorClient,
};
use trilby_proto::trilby::operator::v1::resource_reports_client::ResourceReportsClient;
use trilby_testkit::{ApiServer, Kube, ports::Port, services::Operator};

use crate::{
    authority::{Authority, Served, TRUST_DOMAIN},
    rights,
};

pub(crate) const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr/crds");
/// The chart's files of all kinds.
pub(crate) const DEFINITIONS: [&str; 7] = [
    "components",
    "configuration",
    "httpendpoints",
    "mcpservers",
    "resiliency",
    "subscription",
    "workflowaccesspolicy",
];
/// How long an event may take: longer than the operator takes to read a secret again, or to find back to an API server
/// that was away, beside much other work.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Fixture {
    pub kube: Kube,
    pub authority: Authority,
    /// The control plane's namespace.
    pub system: String,
    /// The app's.
    pub shop: String,
    pub operator: Operator,
    sentry: Port,
    _served: Option<Served>,
}

impl Fixture {
    /// A ready operator that watches the app's namespace.
    pub(crate) async fn start() -> Self {
        let mut fixture = Self::prepare(ApiServer::shared().await).await;
        fixture.start_sentry().await;
        fixture.configure().await;
        fixture.operator.start().await;
        fixture
    }

    /// As [`Fixture::start`], with nothing started and no settings yet.
    pub(crate) async fn prepare(api: &ApiServer) -> Self {
        Self::prepare_with(api, &DEFINITIONS).await
    }

    /// As [`Fixture::prepare`], where only these kinds are defined.
    pub(crate) async fn prepare_with(api: &ApiServer, definitions: &[&str]) -> Self {
        let kube = Kube::clone(api);
        define(&kube, definitions).await;
        let (system, shop) = (kube.namespace("system").await, kube.namespace("shop").await);
        let authority = Authority::new();
        let mut fixture = Self {
            operator: Operator::new(),
            kube,
            authority,
            system,
            shop,
            sentry: Port::free(),
            _served: None,
        };
        fixture.operator = fixture.replica().await;
        fixture
    }

    /// Defines further kinds.
    pub(crate) async fn define(&self, definitions: &[&str]) {
        define(&self.kube, definitions).await;
    }

    /// Another operator of the same control plane, not started.
    pub(crate) async fn replica(&self) -> Operator {
        let kubeconfig = rights::grant(&self.kube, &self.system).await;
        let operator = Operator::new();
        let anchors = operator.file("ca.crt", &self.authority.anchors());
        let token = operator.file("token", "any");
        operator
            .kubernetes(&kubeconfig, &self.system)
            .identity(&anchors, &token)
            .arg("--watch-namespace", &self.shop)
            // Definitions are the cluster's: operators of several control planes would fight for this one.
            .env("ENABLE_WEBHOOKS", "false")
    }

    pub(crate) async fn start_sentry(&mut self) {
        let served = self.authority.serve(self.sentry.address(), &self.system);
        self._served = Some(served.await);
    }

    /// Writes the control plane's settings.
    pub(crate) async fn configure(&self) {
        let configuration = json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration",
            "metadata": {"name": "daprsystem", "namespace": self.system},
            "spec": {"mtls": {
                "enabled": true,
                "controlPlaneTrustDomain": TRUST_DOMAIN,
                "sentryAddress": self.sentry.address().to_string(),
            }},
        });
        self.eventually_applied(&configuration).await;
    }

    /// Applies an object of a kind whose definition may be new.
    pub(crate) async fn eventually_applied(&self, object: &Value) {
        let text = object.to_string();
        self.kube
            .eventually("the object is accepted", async |kube| {
                kube.try_apply(&text).await
            })
            .await;
    }

    pub(crate) async fn apply(&self, object: &Value) {
        self.kube.apply(&object.to_string()).await;
    }

    pub(crate) async fn delete(&self, object: &Value) {
        self.kube.delete(&object.to_string()).await;
    }

    /// A component in the app's namespace, with these settings.
    pub(crate) fn component(&self, name: &str, settings: &Value) -> Value {
        json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component",
            "metadata": {"name": name, "namespace": self.shop},
            "spec": {"type": "state.redis", "version": "v1", "metadata": settings},
        })
    }

    /// A Secret in the app's namespace with the key `password`.
    pub(crate) fn secret(&self, name: &str, password: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": self.shop},
            "stringData": {"password": password, "unrelated": "x"},
        })
    }

    /// The sidecar of an app in the app's namespace.
    pub(crate) fn sidecar(&self, app_id: &str) -> Sidecar {
        self.sidecar_as(&format!("spiffe://public/ns/{}/{app_id}", self.shop))
    }

    /// A client that proves to be `id`.
    pub(crate) fn sidecar_as(&self, id: &str) -> Sidecar {
        Sidecar {
            client: OperatorClient::new(self.channel(id)),
            namespace: self.shop.clone(),
        }
    }

    /// As [`Fixture::sidecar_as`], to report.
    pub(crate) fn reports(&self, id: &str) -> ResourceReportsClient<Channel> {
        ResourceReportsClient::new(self.channel(id))
    }

    fn channel(&self, id: &str) -> Channel {
        let expected = format!("spiffe://{TRUST_DOMAIN}/ns/{}/dapr-operator", self.system);
        let expected = Expect::Exact(expected.parse().expect("an id"));
        let tls = self.authority.identity(id).client_tls(expected);
        connect(self.operator.grpc_address(), Some(tls))
    }
}

/// Applies the chart's definitions, which tests of this process do at the same time.
async fn define(kube: &Kube, definitions: &[&str]) {
    for file in definitions {
        let path = format!("{CRDS}/{file}.yaml");
        let text = std::fs::read_to_string(&path).expect("the chart has its CRDs");
        kube.eventually(file, async |kube| kube.try_apply(&text).await)
            .await;
    }
}

pub(crate) fn connect(
    address: SocketAddr,
    tls: Option<std::sync::Arc<rustls::ClientConfig>>,
) -> Channel {
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
    };
    trilby_grpc::channel(target, tls, ChannelConfig::default()).expect("a valid address")
}

/// What a sidecar asks of the operator.
pub(crate) struct Sidecar {
    pub client: OperatorClient<Channel>,
    pub namespace: String,
}

impl Sidecar {
    pub(crate) async fn try_list(&self) -> Result<Vec<Value>, Status> {
        let request = proto::ListComponentsRequest {
            namespace: self.namespace.clone(),
        };
        let reply = self.client.clone().list_components(request).await?;
        Ok(reply.into_inner().components.iter().map(decode).collect())
    }

    /// The components it sees.
    pub(crate) async fn list(&self) -> Vec<Value> {
        self.try_list().await.expect("lists components")
    }

    /// The names of the components it sees.
    pub(crate) async fn names(&self) -> Vec<String> {
        self.list().await.iter().map(name).collect()
    }

    pub(crate) async fn component_events(&self) -> Streaming<proto::ComponentUpdateEvent> {
        let request = proto::ComponentUpdateRequest {
            namespace: self.namespace.clone(),
        };
        let reply = self.client.clone().component_update(request).await;
        reply.expect("opens the stream").into_inner()
    }

    pub(crate) async fn configuration_events(&self) -> Streaming<proto::ConfigurationUpdateEvent> {
        let request = proto::ConfigurationUpdateRequest {
            namespace: self.namespace.clone(),
        };
        let reply = self.client.clone().configuration_update(request).await;
        reply.expect("opens the stream").into_inner()
    }

    pub(crate) async fn configuration(&self, name: &str) -> Result<Value, Status> {
        let request = proto::GetConfigurationRequest {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
        };
        let reply = self.client.clone().get_configuration(request).await?;
        Ok(decode(&reply.into_inner().configuration))
    }
}

/// The next component event.
pub(crate) async fn next(
    events: &mut Streaming<proto::ComponentUpdateEvent>,
) -> (ResourceEventType, Value) {
    let event = message(events).await;
    (event.r#type(), decode(&event.component))
}

/// The next message of a stream.
pub(crate) async fn message<T>(stream: &mut Streaming<T>) -> T {
    let next = timeout(PATIENCE, stream.message()).await;
    let next = next.expect("an event comes in time");
    next.expect("the stream goes on")
        .expect("the stream goes on")
}

/// How a stream ends.
pub(crate) async fn end<T: std::fmt::Debug>(stream: &mut Streaming<T>) -> Status {
    let next = timeout(PATIENCE, stream.message()).await;
    next.expect("it ends in time")
        .expect_err("it ends with a status")
}

pub(crate) fn decode(json: &Bytes) -> Value {
    serde_json::from_slice(json).expect("resources are JSON")
}

pub(crate) fn name(resource: &Value) -> String {
    resource["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The value of a component's first setting.
pub(crate) fn value(component: &Value) -> &Value {
    &component["spec"]["metadata"][0]["value"]
}

/// The definition of components without their schema.
pub(crate) fn definition_without_schema() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "components.dapr.io"},
        "spec": {
            "group": "dapr.io",
            "scope": "Namespaced",
            "names": {"kind": "Component", "listKind": "ComponentList", "plural": "components", "singular": "component"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}
