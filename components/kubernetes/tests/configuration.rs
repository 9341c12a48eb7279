//! `configuration.kubernetes` on a real API server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::path::Path;
use std::sync::{Arc, Once};

use async_trait::async_trait;
use serde_json::json;
use trilby_components::configuration::{
    Beginning, Change, Changes, ConfigurationError, ConfigurationStore, Items,
};
use trilby_components::conformance::configuration::{Author, next, run, selection, until};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_testkit::api_server::ApiServer;
use trilby_testkit::eventually::eventually;

const NAME: &str = "app-config";

type Store = Arc<dyn ConfigurationStore>;

async fn create(
    kubeconfig: &Path,
    namespace: &str,
    pairs: &[(&str, &str)],
) -> Result<Store, CreateError> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.install_default().expect("nobody else does");
    });
    let kubeconfig = kubeconfig.display().to_string();
    let mut all = vec![("kubeconfigPath", kubeconfig.as_str())];
    all.extend_from_slice(pairs);
    let metadata = Metadata::new(all).unwrap();
    let registry = Registry::default().with(trilby_components_kubernetes::backends());
    let context = ComponentContext {
        namespace: namespace.to_owned(),
        ..ComponentContext::default()
    };
    let created = registry.create("configuration.kubernetes", "v1", context, metadata);
    match created.await? {
        Instance::Configuration(store) => Ok(store),
        other => panic!("not a configuration store: {other:?}"),
    }
}

async fn open(server: &ApiServer, namespace: &str) -> Store {
    let named = [("configMapName", NAME)];
    let created = create(server.kubeconfig(), namespace, &named).await;
    created.expect("the API server runs")
}

async fn follow(store: &Store, keys: &[&str], beginning: Beginning) -> Changes {
    store.subscribe(&selection(keys), beginning).await.unwrap()
}

fn items(change: Change) -> Items {
    match change {
        Change::Items(items) => items,
        Change::Missed => panic!("a watch tells what it missed"),
    }
}

struct Kubectl<'a> {
    server: &'a ApiServer,
    namespace: &'a str,
}

impl Kubectl<'_> {
    async fn patch(&self, patch: serde_json::Value) {
        let (namespace, patch) = (self.namespace, patch.to_string());
        let words = [
            "-n",
            namespace,
            "patch",
            "configmap",
            NAME,
            "--type=merge",
            "-p",
            &patch,
        ];
        self.server.kubectl(&words).await;
    }

    async fn make(&self) {
        let namespace = self.namespace;
        self.server
            .kubectl(&["-n", namespace, "create", "configmap", NAME])
            .await;
    }
}

#[async_trait]
impl Author for Kubectl<'_> {
    async fn put(&self, key: &str, value: &str) {
        self.patch(json!({ "data": { key: value } })).await;
    }

    async fn remove(&self, key: &str) {
        self.patch(json!({ "data": { key: null } })).await;
    }
}

#[tokio::test]
async fn it_is_a_configuration_store() {
    let server = ApiServer::shared().await;
    let namespace = &server.namespace("configuration").await;
    let author = Kubectl { server, namespace };
    let store = open(server, namespace).await;
    assert_eq!(store.get(&selection(&[])).await.unwrap(), Items::new());
    author.make().await;
    run(&*store, &author).await;
}

#[tokio::test]
async fn a_new_subscription_is_told_what_there_is_and_bytes_are_base64() {
    let server = ApiServer::shared().await;
    let namespace = &server.namespace("configuration").await;
    let author = Kubectl { server, namespace };
    let store = open(server, namespace).await;
    author.make().await;
    author
        .patch(json!({ "data": { "a": "x" }, "binaryData": { "b": "AP8=" } }))
        .await;
    let read = store.get(&selection(&[])).await.unwrap();
    assert_eq!(read["b"].value, "AP8=");
    assert_eq!(read["b"].metadata["encoding"], "base64");
    let mut changes = follow(&store, &[], Beginning::New).await;
    assert_eq!(items(next(&mut changes).await), read);
    let mut some = follow(&store, &["a"], Beginning::New).await;
    assert_eq!(items(next(&mut some).await)["a"], read["a"]);
}

/// Made after the subscription, removed and made again.
#[tokio::test]
async fn a_config_map_comes_and_goes() {
    let server = ApiServer::shared().await;
    let namespace = &server.namespace("configuration").await;
    let author = Kubectl { server, namespace };
    let store = open(server, namespace).await;
    let mut changes = follow(&store, &["a"], Beginning::New).await;
    for value in ["first", "second"] {
        author.make().await;
        author.put("a", value).await;
        let told = until(&mut changes, "a", value).await;
        assert_eq!(told, store.get(&selection(&["a"])).await.unwrap()["a"]);
        server
            .kubectl(&["-n", namespace, "delete", "configmap", NAME])
            .await;
        let gone = until(&mut changes, "a", "").await;
        assert_eq!(gone.metadata["deleted"], "true");
        assert!(!gone.version.is_empty());
    }
}

#[tokio::test]
async fn a_subscription_goes_on_when_the_api_server_was_away() {
    let mut server = ApiServer::start().await;
    let namespace = server.namespace("configuration").await;
    let store = open(&server, &namespace).await;
    let author = Kubectl {
        server: &server,
        namespace: &namespace,
    };
    author.make().await;
    author.put("a", "before").await;
    let mut changes = follow(&store, &["a"], Beginning::Continued).await;
    server.restart().await;
    let author = Kubectl {
        server: &server,
        namespace: &namespace,
    };
    author.put("a", "after").await;
    until(&mut changes, "a", "after").await;
    assert_eq!(
        store.get(&selection(&[])).await.unwrap()["a"].value,
        "after"
    );
}

/// To list and watch that one ConfigMap is enough; without it, there is a reason.
#[tokio::test]
async fn upstreams_rights_are_enough_and_needed() {
    let server = ApiServer::shared().await;
    let namespace = &server.namespace("configuration").await;
    server.service_account(namespace, "app").await;
    let kubeconfig = server.kubeconfig_of(namespace, "app").await;
    let named = [("configMapName", NAME)];
    let refused = create(&kubeconfig, namespace, &named).await.err().unwrap();
    assert!(
        refused.is_transient() && refused.to_string().contains("forbidden"),
        "{refused}"
    );
    let name = format!("--resource-name={NAME}");
    let role = ["--verb=list,watch", "--resource=configmaps", &name];
    let role = [&["-n", namespace, "create", "role", "reads"][..], &role].concat();
    server.kubectl(&role).await;
    let account = format!("--serviceaccount={namespace}:app");
    let binding = [
        "-n",
        namespace,
        "create",
        "rolebinding",
        "reads",
        "--role=reads",
        &account,
    ];
    server.kubectl(&binding).await;
    let store = eventually("the account may read", async || {
        let created = create(&kubeconfig, namespace, &named).await;
        created.map_err(|error| error.to_string())
    })
    .await;
    let author = Kubectl { server, namespace };
    author.make().await;
    let mut changes = follow(&store, &["a"], Beginning::New).await;
    author.put("a", "x").await;
    until(&mut changes, "a", "x").await;
    server
        .kubectl(&["-n", namespace, "delete", "rolebinding", "reads"])
        .await;
    eventually("the account may read no more", async || {
        match store.get(&selection(&["a"])).await {
            Err(ConfigurationError::Store(why)) if why.contains("forbidden") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_is_named_at_start() {
    let nowhere = Path::new("/nowhere/config");
    for (pairs, text) in [
        (&[][..], "configMapName is missing"),
        (
            &[("configMapName", "App_Config")],
            "\"App_Config\" is not a valid Kubernetes resource name",
        ),
        (&[("configMapName", NAME)], "/nowhere/config"),
    ] {
        let refused = create(nowhere, "ns", pairs)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains(text), "{refused}");
    }
}
