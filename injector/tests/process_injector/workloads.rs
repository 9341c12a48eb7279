//! Deployments whose pods ask for a sidecar, and how many of them have one. Nothing runs a pod: they stay Pending.

use anyhow::Result;
use serde_json::{Value, json};
use trilby_testkit::{Kube, services::Injector};

/// A Deployment of so many pods with these annotations beside the one that asks.
pub(crate) fn deployment(namespace: &str, name: &str, replicas: u32, extra: &Value) -> Value {
    let labels = json!({"app": name});
    let mut annotations = json!({"dapr.io/enabled": "true", "dapr.io/app-id": name});
    let extra = extra.as_object().cloned().unwrap_or_default();
    annotations.as_object_mut().unwrap().extend(extra);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
            },
        },
    })
}

/// A pod of nobody that asks, with these annotations beside.
pub(crate) fn bare(namespace: &str, name: &str, extra: &Value) -> Value {
    let mut annotations = json!({"dapr.io/enabled": "true", "dapr.io/app-id": name});
    let extra = extra.as_object().cloned().unwrap_or_default();
    annotations.as_object_mut().unwrap().extend(extra);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
    })
}

/// How many pods the namespace has, and how many of them have a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) pods: usize,
    pub(crate) served: usize,
}

/// Counts the pods of a namespace.
pub(crate) async fn census(kube: &Kube, namespace: &str) -> Result<Census> {
    let columns = r#"jsonpath={range .items[*]}{.spec.containers[*].name}{"\n"}{end}"#;
    let pods = ["get", "pods", "-n", namespace, "-o", columns];
    let pods = kube.try_kubectl(&pods).await?;
    Ok(Census {
        pods: pods.lines().count(),
        served: pods.lines().filter(|names| names.contains("daprd")).count(),
    })
}

/// The UIDs of the pods of a namespace, sorted.
pub(crate) async fn uids(kube: &Kube, namespace: &str) -> Vec<String> {
    let columns = r#"jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}"#;
    let pods = ["get", "pods", "-n", namespace, "-o", columns];
    let pods = kube.kubectl(&pods).await;
    let mut uids: Vec<_> = pods.lines().map(str::to_owned).collect();
    uids.sort_unstable();
    uids
}

/// Of which objects of this kind Events with this reason tell, each once.
pub(crate) async fn told(
    kube: &Kube,
    namespace: &str,
    kind: &str,
    reason: &str,
) -> Result<Vec<String>> {
    let columns =
        r#"jsonpath={range .items[*]}{.reason} {.regarding.kind} {.regarding.name}{"\n"}{end}"#;
    let events = [
        "get",
        "events.events.k8s.io",
        "-n",
        namespace,
        "-o",
        columns,
    ];
    let events = kube.try_kubectl(&events).await?;
    let prefix = format!("{reason} {kind} ");
    let names = events.lines().filter_map(|line| line.strip_prefix(&prefix));
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// How many pods of a namespace an injector counts as without sidecar, for any reason.
pub(crate) async fn counted(injector: &Injector, namespace: &str) -> u64 {
    let prefix = format!("dapr_injector_pods_without_sidecar{{namespace=\"{namespace}\",");
    let metrics = injector.metrics().await;
    let lines = metrics.lines().filter(|line| line.starts_with(&prefix));
    let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    numbers.sum()
}
