//! The chart installs the control plane.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::evidence::Evidence;
use crate::scene::{SYSTEM, Scene, checkout, eventually, expect};

const RELEASE: &str = "dapr";
/// The sidecar's container.
const SIDECAR: &str = "daprd";
/// The label `app` of each service's pods.
const APPS: &[&str] = &[
    "dapr-operator",
    "dapr-sidecar-injector",
    "dapr-sentry",
    "dapr-placement-server",
];

/// Installs the chart (or upgrades to it) and shows that its services are ready and its webhook answers.
///
/// # Errors
/// If the chart does not install; the text has the pods and events.
pub async fn show(scene: &Scene) -> Result<Evidence> {
    install(scene, &[]).await?;
    let mut evidence = Evidence::default();
    evidence.add(release(scene).await?);
    for app in APPS {
        let pods = scene.pods_in(SYSTEM, app).await?;
        expect(!pods.is_empty(), || format!("there is no pod of {app}"))?;
        for pod in pods {
            expect(pod.is_ready, || format!("{} is not ready", pod.name))?;
            let images: Vec<_> = pod.containers.values().map(|one| &*one.image).collect();
            evidence.add(format!(
                "{}  {} ready  {}",
                pod.name,
                pod.ready_of_all(),
                images.join(" ")
            ));
        }
    }
    webhook_answers(scene).await?;
    evidence.add("the API server asks the injector about new pods, and gets an answer");
    Ok(evidence)
}

/// Installs the chart, or upgrades to it, with these values (`global.logAsJson=true`), and waits until all is ready.
///
/// # Errors
/// If it does not become ready; the text has the pods and events.
pub async fn install(scene: &Scene, values: &[&str]) -> Result<()> {
    let kube = scene.kube();
    let installed = kube.try_helm(&["status", RELEASE, "-n", SYSTEM]).await;
    let verb = if installed.is_ok() {
        "upgrade"
    } else {
        "install"
    };
    let chart = checkout().join("charts/dapr");
    let chart = chart.to_str().context("the checkout's path is text")?;
    let registry = format!("global.registry={}", scene.registry());
    let mut arguments = vec![verb, RELEASE, chart, "-n", SYSTEM, "--set", &registry];
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    arguments.extend(["--wait", "--timeout", "100s"]);
    if verb == "install" {
        arguments.push("--create-namespace");
    }
    if let Err(error) = kube.try_helm(&arguments).await {
        bail!("{error:#}\n{}", kube.describe(SYSTEM).await);
    }
    Ok(())
}

async fn release(scene: &Scene) -> Result<String> {
    let arguments = ["list", "-n", SYSTEM, "-o", "json"];
    let list: Value = serde_json::from_str(&scene.kube().try_helm(&arguments).await?)?;
    let release = &list[0];
    let field = |name: &str| release[name].as_str().unwrap_or_default();
    expect(field("status") == "deployed", || {
        format!("helm says {list}")
    })?;
    Ok(format!(
        "release {} in {SYSTEM}: {}, chart {}, version {}",
        field("name"),
        field("status"),
        field("chart"),
        field("app_version")
    ))
}

/// A Service is reachable a moment after its pods are ready, and Kubernetes admits a pod as it is when the webhook
/// cannot be reached. So a pod that is not created asks first.
///
/// # Errors
/// If that pod gets no sidecar in time.
pub async fn webhook_answers(scene: &Scene) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "probe", "namespace": scene.namespace(),
            "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": "probe"},
        },
        "spec": {"containers": [{"name": "probe", "image": "trilby.local/python:3"}]},
    })
    .to_string();
    let arguments = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    eventually("the injector answers", async || {
        let answer = scene.kube().try_kubectl_with_input(&arguments, &pod);
        let pod: Value = serde_json::from_str(&answer.await?)?;
        let spec = &pod["spec"];
        let containers = [&spec["containers"], &spec["initContainers"]].map(Value::as_array);
        let mut containers = containers.into_iter().flatten().flatten();
        expect(containers.any(|one| one["name"] == SIDECAR), || {
            "an annotated pod would get no sidecar".to_owned()
        })
    })
    .await
}
