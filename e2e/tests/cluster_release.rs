//! A release of the chart on a real node: installed, tested, upgraded, rolled back and removed, beside an app that goes
//! on all the while.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use trilby_e2e::images::{self, DEFAULT_REGISTRY};
use trilby_e2e::installation;
use trilby_e2e::pods::Lives;
use trilby_e2e::scene::{SYSTEM, Scene, eventually};
use trilby_testkit::Cluster;

/// Three replicas of everything, other arguments for each service, and every object that is left out by default.
const CHANGES: &[&str] = &[
    "global.ha.enabled=true,dapr_placement.cluster.forceInMemoryLog=true",
    "global.logAsJson=true,global.networkPolicies.enabled=true,global.prometheus.dashboards.enabled=true",
    "dapr_operator.validation=strict,dapr_operator.watchInterval=once",
    "dapr_sidecar_injector.sidecarProfile=hardened,dapr_sidecar_injector.podsWithoutSidecar=repair",
];
/// Operator, injector, sentry and placement.
const SERVICES: usize = 4;

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: shelf}\n\
                     spec: {type: state.in-memory, version: v1, metadata: []}\n";

/// An app that does nothing.
fn shop() -> Value {
    let labels = json!({"app": "shop"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": "shop"},
                },
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
                    "name": "app", "image": format!("{DEFAULT_REGISTRY}/python:3"),
                    "args": ["-c", "import signal; signal.pause()"],
                }]},
            },
        },
    })
}

/// A release, and who was there before it.
struct Release {
    scene: Scene,
    lives: Lives,
}

impl Release {
    /// Every pod of the control plane is Ready, and of each service there are so many; `helm test` passes; the app was
    /// not started anew, and its sidecar answers.
    async fn is_well(&self, replicas: usize) -> Result<()> {
        eventually("every pod is Ready", async || {
            let ready = self.ready().await?;
            ensure!(ready == replicas * SERVICES, "{ready} pods");
            Ok(())
        })
        .await?;
        installation::webhook_answers(&self.scene).await?;
        let test = ["test", "dapr", "-n", SYSTEM, "--timeout", "110s"];
        let tested = self.scene.kube().try_helm(&test).await?;
        ensure!(tested.contains("Succeeded"), "{tested}");
        ensure!(self.scene.lives(&["shop"]).await? == self.lives, "shop");
        served(&self.scene).await
    }

    /// How many pods the control plane has; an error unless all are Ready.
    async fn ready(&self) -> Result<usize> {
        let selector = "-l=app.kubernetes.io/part-of=dapr";
        let list = ["get", "pods", "-n", SYSTEM, selector, "-o", "json"];
        let list: Value = serde_json::from_str(&self.scene.kube().try_kubectl(&list).await?)?;
        let pods = list["items"].as_array().context("a list has items")?;
        for pod in pods {
            let conditions = pod["status"]["conditions"].as_array();
            let mut conditions = conditions.into_iter().flatten();
            let ready = conditions.any(|one| one["type"] == "Ready" && one["status"] == "True");
            ensure!(ready, "{} is not", pod["metadata"]["name"]);
        }
        Ok(pods.len())
    }
}

/// The app's sidecar answers about its state store.
async fn served(scene: &Scene) -> Result<()> {
    let ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:3500/v1.0/state/shelf/x').status)";
    let ask = [
        "exec",
        "deployment/shop",
        "-c",
        "app",
        "--",
        "/usr/bin/python3",
        "-c",
        ask,
    ];
    let status = scene.kubectl(&ask).await?;
    ensure!(status == "204\n", "the sidecar answers {status}");
    Ok(())
}

/// The objects of the cluster, the control plane's namespace among them, before there is anything in it.
async fn objects_before(scene: &Scene) -> Result<BTreeSet<String>> {
    let kube = scene.kube();
    kube.try_kubectl(&["create", "namespace", SYSTEM]).await?;
    eventually("the namespace has its own objects", async || {
        let objects = kube.lasting_objects().await?;
        let own = objects.iter().filter(|object| object.contains(SYSTEM));
        // The namespace, its service account and its ConfigMap.
        ensure!(own.count() == 3, "{objects:?}");
        Ok(objects)
    })
    .await
}

async fn only_definitions_are_left(scene: &Scene, before: &BTreeSet<String>) -> Result<()> {
    eventually("nothing is left but definitions", async || {
        let after = scene.kube().lasting_objects().await?;
        let left = after.difference(before);
        let (definitions, others): (Vec<_>, Vec<_>) =
            left.partition(|object| object.starts_with("CustomResourceDefinition "));
        ensure!(others.is_empty(), "left: {others:?}");
        ensure!(definitions.len() == 7, "{definitions:?}");
        Ok(())
    })
    .await
}

/// Installs the chart, and then the app.
async fn install(scene: &Scene) -> Result<Release> {
    installation::install(scene, &[]).await?;
    installation::webhook_answers(scene).await?;
    for manifest in [STORE, &shop().to_string()] {
        scene.apply(manifest).await?;
    }
    scene.rolled_out(&["shop"]).await?;
    let lives = scene.lives(&["shop"]).await?;
    Ok(Release {
        scene: scene.clone(),
        lives,
    })
}

async fn life(scene: &Scene) -> Result<()> {
    let helm = async |arguments: &[&str]| {
        let release = ["dapr", "-n", SYSTEM];
        scene.kube().try_helm(&[arguments, &release].concat()).await
    };
    let before = objects_before(scene).await?;
    let release = install(scene).await?;
    release.is_well(1).await.context("installed")?;
    let first = helm(&["get", "manifest"]).await?;

    installation::install(scene, CHANGES).await?;
    release.is_well(3).await.context("upgraded")?;

    let back = ["rollback", "dapr", "1", "-n", SYSTEM, "--wait"];
    scene.kube().try_helm(&back).await?;
    release.is_well(1).await.context("rolled back")?;
    ensure!(helm(&["get", "manifest"]).await? == first, "not the same");

    let app = ["delete", "deployment/shop", "component/shelf"];
    scene.kubectl(&app).await?;
    helm(&["uninstall", "--wait"]).await?;
    only_definitions_are_left(scene, &before).await
}

#[tokio::test]
async fn a_release_is_installed_tested_changed_rolled_back_and_removed() {
    let images = images::all(DEFAULT_REGISTRY).unwrap_or_else(|error| panic!("{error:#}"));
    let cluster = Cluster::with_images(&images).await;
    let scene = Scene::new(Clone::clone(&cluster), "default", DEFAULT_REGISTRY);
    if let Err(error) = life(&scene).await {
        panic!("{error:#}\n{}", cluster.describe(SYSTEM).await);
    }
}
