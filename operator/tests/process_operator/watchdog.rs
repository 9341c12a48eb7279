use std::collections::BTreeSet;

use serde_json::{Value, json};
use trilby_testkit::{ApiServer, assert_eventually};

use crate::{fixture::Fixture, rights};

/// An operator whose watchdog looks every second, with what it may do without one. There are no kubelets and
/// controllers: pods only stand there.
async fn watched(api: &ApiServer) -> (Fixture, BTreeSet<String>) {
    let mut fixture = Fixture::prepare(api).await;
    fixture.operator = fixture
        .replica()
        .await
        .arg("--watch-interval", "1s")
        .arg("--max-pod-restarts-per-minute", "0")
        .arg("--watchdog-can-patch-pod-labels", "true");
    let before = rights::all(api, &fixture.system).await;
    rights::grant_watchdog(&fixture.kube, &fixture.system).await;
    fixture.start_sentry().await;
    fixture.configure().await;
    fixture.operator.start().await;
    (fixture, before)
}

/// Something that pods may belong to: what belongs to nothing that exists is collected.
async fn owners(fixture: &Fixture) -> Value {
    let owner = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "owner", "namespace": fixture.shop},
    });
    fixture.apply(&owner).await;
    let owner = fixture
        .kube
        .get_json(&fixture.shop, "configmap/owner")
        .await;
    let uid = &owner["metadata"]["uid"];
    json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "controller": true}])
}

/// A pod of an application that wants a sidecar.
fn pod(fixture: &Fixture, name: &str, owners: &Value, containers: &[&str]) -> Value {
    let containers: Vec<_> = containers
        .iter()
        .map(|name| json!({"name": name, "image": "none"}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": fixture.shop,
            "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": name},
            "ownerReferences": owners,
        },
        "spec": {"containers": containers},
    })
}

/// An injector that becomes ready: the kubelet's word for its pod is ours.
async fn start_injector(fixture: &Fixture) {
    let labels = json!({"app": "dapr-sidecar-injector"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "dapr-sidecar-injector", "namespace": fixture.system, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "i", "image": "none"}]}},
        },
    });
    fixture.apply(&deployment).await;
    let ready = json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
    }});
    let ready = ready.to_string();
    fixture
        .kube
        .eventually("the injector's pod is ready", async |kube| {
            let pods = kube.try_get_json(&fixture.system, "pods").await?;
            let name = pods["items"][0]["metadata"]["name"].as_str();
            let pod = format!("pod/{}", name.unwrap_or("none"));
            let status = ["--subresource=status", "--type=merge", "-p", &ready];
            let patch = ["-n", &fixture.system, "patch", &pod];
            kube.try_kubectl(&[&patch[..], &status[..]].concat()).await
        })
        .await;
}

#[tokio::test]
async fn pods_without_sidecar_are_deleted_once_an_injector_is_ready() {
    let api = ApiServer::start_audited().await;
    let (fixture, before) = watched(&api).await;
    let names = ["lost", "bare", "served"];
    let (owned, bare) = (owners(&fixture).await, json!([]));
    for pod in [
        pod(&fixture, "lost", &owned, &["app"]),
        pod(&fixture, "bare", &bare, &["app"]),
        pod(&fixture, "served", &owned, &["app", "daprd"]),
    ] {
        fixture.apply(&pod).await;
    }
    fixture
        .operator
        .log()
        .wait_for("no injector is ready")
        .await;
    let left = async || {
        let pods = fixture.kube.get_json(&fixture.shop, "pods").await;
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let alive = pods
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut alive: Vec<_> = alive
            .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
        alive.sort_unstable();
        alive
    };
    assert_eq!(left().await.len(), names.len());
    start_injector(&fixture).await;
    assert_eventually!(left().await == ["bare", "served"]);
    let label = async || {
        let pod = fixture.kube.get_json(&fixture.shop, "pod/served").await;
        pod["metadata"]["labels"]["dapr.io/watchdog-patched"] == "true"
    };
    assert_eventually!(label().await);
    let told = "no controller that would make it anew";
    fixture.operator.log().wait_for(told).await;
    assert_eq!(left().await, ["bare", "served"]);
    rights::added_are_used(&api, &fixture.system, (&before, &[])).await;
}
