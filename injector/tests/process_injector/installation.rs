//! A cluster with an injector in it, as the chart installs it: its own account with its own rights, a Service, a webhook.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use trilby_testkit::{ApiServer, Kube, services::Injector};

use crate::authority::Authority;

/// Account of the injector.
pub(crate) const ACCOUNT: &str = "dapr-injector";

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr");
const TEMPLATES: [&str; 2] = [
    "charts/dapr_rbac/templates/injector.yaml",
    "charts/dapr_sidecar_injector/templates/dapr_sidecar_injector_webhook_config.yaml",
];
/// Rendered only while pods are looked after.
const POD_RIGHTS: &str = "charts/dapr_sidecar_injector/templates/dapr_sidecar_injector_pods.yaml";

/// What the injector may do.
#[derive(Clone, Copy)]
pub(crate) enum Rights {
    /// What it asks for.
    Full,
    /// What upstream's chart grants, without Components: no watches, no Events.
    WithoutWatches,
    /// Nothing yet: the chart grants it.
    Chart,
}

/// One injector in one cluster.
pub(crate) struct Installation {
    pub(crate) injector: Injector,
    pub(crate) authority: Option<Authority>,
    pub(crate) namespace: String,
    pub(crate) anchors_file: PathBuf,
    pub(crate) api: ApiServer,
    program: Program,
    /// Keeps the authority's port until it is started.
    reserved: Option<TcpListener>,
}

/// What every injector of an installation is told.
struct Program {
    kubeconfig: PathBuf,
    namespace: String,
    sentry: SocketAddr,
    anchors_file: PathBuf,
    token: PathBuf,
}

impl Program {
    fn settings(&self, injector: Injector) -> Injector {
        injector
            .kubernetes(&self.kubeconfig, &self.namespace)
            .env("DAPR_SENTRY_ADDRESS", self.sentry)
            .env("KUBE_CLUSTER_DOMAIN", "cluster.local")
            .identity(&self.anchors_file, &self.token)
    }
}

impl Installation {
    /// The one that all tests of admission share, running.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Installation> = OnceCell::const_new();
        SHARED
            .get_or_init(async || Self::running(Rights::Full).await)
            .await
    }

    /// A cluster with its injector running and ready.
    pub(crate) async fn running(rights: Rights) -> Self {
        let mut installation = Self::prepared(rights).await;
        installation.start_authority();
        installation.register_webhook().await;
        installation.injector.start().await;
        installation
    }

    /// A cluster in which nothing runs yet and no webhook is registered.
    pub(crate) async fn prepared(rights: Rights) -> Self {
        Self::on(ApiServer::start_audited().await, rights).await
    }

    /// The same, on this cluster.
    pub(crate) async fn on(api: ApiServer, rights: Rights) -> Self {
        let namespace = api.namespace("dapr-system").await;
        for kind in ["configuration", "components"] {
            let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr/crds");
            let crd = Path::new(crds).join(kind).with_extension("yaml");
            api.apply(&fs::read_to_string(crd).unwrap()).await;
        }
        api.service_account(&namespace, ACCOUNT).await;
        if let Some(grants) = grants(rights, &namespace) {
            api.apply(&grants).await;
        }
        let kubeconfig = api.kubeconfig_of(&namespace, ACCOUNT).await;
        let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
        let injector = Injector::new("registry.example/daprd:1.18.0");
        let anchors_file = injector.file("ca.crt", "");
        let token = injector.file("token", "any");
        let program = Program {
            kubeconfig,
            namespace: namespace.clone(),
            sentry: reserved.local_addr().unwrap(),
            anchors_file: anchors_file.clone(),
            token,
        };
        let injector = program.settings(injector);
        Self {
            injector,
            authority: None,
            namespace,
            anchors_file,
            api,
            program,
            reserved: Some(reserved),
        }
    }

    /// Starts the authority, and tells the injector its anchors.
    pub(crate) fn start_authority(&mut self) {
        let listener = self.reserved.take().expect("the authority runs already");
        let authority = Authority::start(&self.namespace, listener);
        replace(&self.anchors_file, &authority.anchors);
        self.authority = Some(authority);
    }

    /// The anchors of the authority, PEM.
    pub(crate) fn anchors(&self) -> &str {
        &self.authority.as_ref().expect("the authority runs").anchors
    }

    /// Registers the webhook as the chart does, second to another one.
    pub(crate) async fn register_webhook(&self) {
        let address = self.injector.https_address();
        self.api
            .apply(&service(&self.namespace, address.ip()))
            .await;
        self.api
            .apply(&webhooks(&self.namespace, address.port()))
            .await;
    }

    /// Another injector beside the first one, with its settings, not started.
    pub(crate) fn replica(&self) -> Injector {
        self.program
            .settings(Injector::new("registry.example/daprd:1.18.0"))
    }

    /// Registers the webhook and grants rights as the chart does with these values.
    pub(crate) async fn install_chart(&self, values: &[&str]) {
        let address = self.injector.https_address();
        self.api
            .apply(&service(&self.namespace, address.ip()))
            .await;
        let mut options = Vec::new();
        for template in TEMPLATES {
            options.extend(["--show-only", template]);
        }
        if !values
            .iter()
            .any(|value| value.contains("podsWithoutSidecar=off"))
        {
            options.extend(["--show-only", POD_RIGHTS]);
        }
        for value in values {
            options.extend(["--set", value]);
        }
        let rendered = self
            .api
            .helm_template(&self.namespace, CHART, &options)
            .await;
        let port = format!("path: /mutate\n      port: {}", address.port());
        let reachable = rendered.replace("path: /mutate", &port);
        assert_ne!(reachable, rendered, "the webhook has a path");
        self.api.apply(&reachable).await;
    }

    /// Our webhook, as it is registered.
    pub(crate) async fn webhook(&self) -> Value {
        let name = "mutatingwebhookconfiguration/dapr-sidecar-injector";
        let configuration = self.api.get_json("default", name).await;
        let webhooks = configuration["webhooks"].as_array().unwrap();
        let ours = webhooks
            .iter()
            .find(|webhook| webhook["name"] == "sidecar-injector.dapr.io");
        ours.expect("our webhook is registered").clone()
    }
}

/// Writes a file as the kubelet does: whole or not at all.
pub(crate) fn replace(path: &Path, content: &str) {
    let next = path.with_extension("next");
    fs::write(&next, content).unwrap();
    fs::rename(next, path).unwrap();
}

/// Runs `kubectl create` on a manifest, taking warnings as errors: the error then has their text.
pub(crate) async fn create(kube: &Kube, file: &Path) -> anyhow::Result<String> {
    let file = file.display().to_string();
    kube.try_kubectl(&["create", "--warnings-as-errors", "-f", &file])
        .await
}

/// The name leads to this machine, whatever it is called; the certificate is checked against the Service's own name.
fn service(namespace: &str, address: std::net::IpAddr) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "dapr-sidecar-injector", "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": address.to_string()},
    })
    .to_string()
}

fn webhooks(namespace: &str, port: u16) -> String {
    let service = json!({
        "name": "dapr-sidecar-injector", "namespace": namespace, "path": "/mutate", "port": port,
    });
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"],
    });
    let webhook = |name: &str, failure_policy: &str, selector: Value| {
        json!({
            "name": name,
            "reinvocationPolicy": "IfNeeded",
            "clientConfig": {"service": service},
            "rules": [rule],
            "objectSelector": selector,
            "failurePolicy": failure_policy,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1", "v1beta1"],
        })
    };
    let never = json!({"matchLabels": {"never": "there"}});
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "dapr-sidecar-injector"},
        "webhooks": [
            webhook("another.example.com", "Ignore", never),
            webhook("sidecar-injector.dapr.io", "Fail", json!({})),
        ],
    })
    .to_string()
}

fn grants(rights: Rights, namespace: &str) -> Option<String> {
    let (webhook_verbs, configuration_verbs) = match rights {
        Rights::Full => (
            json!(["list", "watch", "patch"]),
            json!(["get", "list", "watch"]),
        ),
        Rights::WithoutWatches => (json!(["patch"]), json!(["get"])),
        Rights::Chart => return None,
    };
    let webhooks = json!({
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations"],
        "resourceNames": ["dapr-sidecar-injector"],
        "verbs": webhook_verbs,
    });
    let configurations = json!({
        "apiGroups": ["dapr.io"], "resources": ["configurations"], "verbs": configuration_verbs,
    });
    let components = json!({
        "apiGroups": ["dapr.io"], "resources": ["components"], "verbs": ["list", "watch"],
    });
    let events =
        json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]});
    let cluster = match rights {
        Rights::Full => vec![webhooks, components, events],
        Rights::WithoutWatches => vec![webhooks],
        Rights::Chart => return None,
    };
    let mut items = role("ClusterRole", namespace, &cluster);
    items.extend(role("Role", namespace, &[configurations]));
    Some(json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
}

/// A role with these rules, and its binding to the injector's account.
fn role(kind: &str, namespace: &str, rules: &[Value]) -> Vec<Value> {
    let api_version = "rbac.authorization.k8s.io/v1";
    let metadata = json!({"name": ACCOUNT, "namespace": namespace});
    vec![
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": api_version,
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        }),
    ]
}
