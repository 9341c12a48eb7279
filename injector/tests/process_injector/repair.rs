//! What repair leaves alone, what it gives up, and who does it.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use trilby_testkit::{ApiServer, eventually::within, services::Injector};

use crate::{
    installation::{Installation, Rights},
    workloads::{Census, bare, census, counted, deployment, told, uids},
};

const LIMIT: Duration = Duration::from_secs(180);
const CHART: [&str; 3] = [
    "dapr_sidecar_injector.podsWithoutSidecar=repair",
    // Pods of some namespaces are left out in a way that the injector cannot tell.
    "dapr_sidecar_injector.matchConditions[0].name=not-hidden",
    "dapr_sidecar_injector.matchConditions[0].expression=!request.namespace.startsWith('hidden')",
];

fn repairing(injector: Injector) -> Injector {
    injector
        .arg("--pods-without-sidecar", "repair")
        .arg("--repairs-per-minute", 1000)
}

/// A cluster whose injector has not been started yet: pods come past its webhook.
async fn prepared() -> Installation {
    let mut installation = Installation::on(ApiServer::start().await, Rights::Chart).await;
    installation.start_authority();
    installation.install_chart(&CHART).await;
    let injector = std::mem::replace(&mut installation.injector, Injector::new(""));
    installation.injector = repairing(injector);
    installation
}

async fn becomes(installation: &Installation, namespace: &str, wanted: Census) {
    let probe = async || -> anyhow::Result<()> {
        let seen = census(&installation.api, namespace).await?;
        ensure!(seen == wanted, "{seen:?}");
        Ok(())
    };
    within(LIMIT, &format!("{wanted:?}"), probe).await;
}

/// Makes pods without sidecar, of a Deployment; gives their namespace.
async fn lost(installation: &Installation, prefix: &str, extra: &serde_json::Value) -> String {
    let namespace = installation.api.namespace(prefix).await;
    let lost = deployment(&namespace, "lost", 2, extra);
    installation.api.apply(&lost.to_string()).await;
    becomes(installation, &namespace, Census { pods: 2, served: 0 }).await;
    namespace
}

/// Says for the kubelet that a pod's containers are ready, or over.
async fn reports(installation: &Installation, namespace: &str, pod: &str, phase: &str) {
    let ready = json!({"status": {
        "phase": phase, "conditions": [{"type": "Ready", "status": "True"}],
    }});
    let ready = ready.to_string();
    let pod = format!("pod/{pod}");
    let patch = [
        "patch",
        "-n",
        namespace,
        &pod,
        "--subresource=status",
        "--type=merge",
        "-p",
    ];
    installation
        .api
        .kubectl(&[&patch[..], &[&ready]].concat())
        .await;
}

#[tokio::test]
async fn what_must_be_left_is_left() {
    let mut installation = prepared().await;
    let left = json!({"dapr.io/leave-without-sidecar": "true"});
    let opted_out = lost(&installation, "opted-out", &left).await;
    let alone = installation.api.namespace("alone").await;
    installation
        .api
        .apply(&bare(&alone, "bare", &json!({})).to_string())
        .await;
    installation
        .api
        .apply(&bare(&alone, "over", &json!({})).to_string())
        .await;
    reports(&installation, &alone, "over", "Succeeded").await;
    let guarded = lost(&installation, "guarded", &json!({})).await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "all", "namespace": guarded},
        "spec": {"minAvailable": "100%", "selector": {"matchLabels": {"app": "lost"}}},
    });
    installation.api.apply(&budget.to_string()).await;
    let pods = installation.api.get_json(&guarded, "pods").await;
    for pod in pods["items"].as_array().unwrap() {
        reports(
            &installation,
            &guarded,
            pod["metadata"]["name"].as_str().unwrap(),
            "Running",
        )
        .await;
    }
    let common = lost(&installation, "common", &json!({})).await;
    let before = [
        uids(&installation.api, &opted_out).await,
        uids(&installation.api, &alone).await,
        uids(&installation.api, &guarded).await,
    ];

    installation.injector.start().await;
    becomes(&installation, &common, Census { pods: 2, served: 2 }).await;
    let blocked = "dapr_injector_sidecar_repairs_total{outcome=\"blocked\"}";
    trilby_testkit::assert_eventually!(
        installation.injector.metrics().await.contains(blocked),
        LIMIT
    );
    let after = [
        uids(&installation.api, &opted_out).await,
        uids(&installation.api, &alone).await,
        uids(&installation.api, &guarded).await,
    ];
    assert_eq!(before, after);
    assert_eq!(counted(&installation.injector, &opted_out).await, 0);
    assert_eq!(counted(&installation.injector, &alone).await, 1);
    let names = told(&installation.api, &alone, "Pod", "NoSidecar")
        .await
        .unwrap();
    assert_eq!(names, ["bare"]);

    installation.api.delete(&budget.to_string()).await;
    becomes(&installation, &guarded, Census { pods: 2, served: 2 }).await;
}

#[tokio::test]
async fn an_owner_whose_pods_come_back_without_is_left_alone_and_told_so() {
    let mut installation = prepared().await;
    let hidden = lost(&installation, "hidden", &json!({})).await;
    let before = uids(&installation.api, &hidden).await;
    installation.injector.start().await;
    let told = async || -> anyhow::Result<()> {
        let owners = told(
            &installation.api,
            &hidden,
            "Deployment",
            "RepairHasNoEffect",
        )
        .await?;
        ensure!(owners == ["lost"], "{owners:?}");
        Ok(())
    };
    within(LIMIT, "its owner is told", told).await;
    let after = uids(&installation.api, &hidden).await;
    let left = after.iter().filter(|uid| before.contains(uid)).count();
    assert_eq!((after.len(), left), (2, 1), "one pod was tried");
}

#[tokio::test]
async fn one_replica_acts_and_another_takes_over() {
    let mut installation = prepared().await;
    let mut other = repairing(installation.replica());
    let first = lost(&installation, "first", &json!({})).await;
    installation.injector.start().await;
    becomes(&installation, &first, Census { pods: 2, served: 2 }).await;
    other.start().await;
    other.log().wait_for("serving the webhook").await;
    assert!(!other.log().text().contains("leading"), "there is a leader");

    // Pods come past the webhook only while nobody answers where it points to: the first one.
    installation.injector.kill().await;
    let second = lost(&installation, "second", &json!({})).await;
    other.log().wait_for("leading").await;
    let owners = async || -> anyhow::Result<()> {
        let owners = told(&installation.api, &second, "Deployment", "NoSidecar").await?;
        ensure!(owners == ["lost"], "{owners:?}");
        Ok(())
    };
    within(LIMIT, "the other one found them", owners).await;
}
