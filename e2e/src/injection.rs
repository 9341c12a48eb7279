//! Annotated pods get a sidecar.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::evidence::Evidence;
use crate::scene::{Scene, checkout, expect};

/// The example apps, with the number of their replicas.
pub const APPS: &[(&str, usize)] = &[("greeter", 2), ("caller", 1)];

const SIDECAR: &str = "daprd";

/// Applies the example apps and shows what their pods consist of.
///
/// # Errors
/// If a pod does not become ready or has no sidecar.
pub async fn show(scene: &Scene) -> Result<Evidence> {
    let examples = checkout().join("examples");
    let examples = examples.to_str().context("the checkout's path is text")?;
    let manifests = scene.kubectl(&["kustomize", examples]).await?;
    scene.apply(&manifests).await?;
    scene.rolled_out(&["greeter", "caller"]).await?;
    let mut evidence = Evidence::default();
    for (app, replicas) in APPS {
        evidence.add(written(
            app,
            &scene.get(&format!("deployment/{app}")).await?,
        )?);
        let pods = scene.pods(app).await?;
        expect(pods.len() == *replicas, || {
            format!("{app} has {} pods instead of {replicas}", pods.len())
        })?;
        for pod in pods {
            let names: Vec<_> = pod.containers.keys().map(String::as_str).collect();
            let ready = pod.ready_of_all();
            expect(
                ready == "2/2" && pod.containers.contains_key(SIDECAR),
                || format!("{} has {ready} containers ready: {names:?}", pod.name),
            )?;
            evidence.add(format!("{}  {ready} ready: {}", pod.name, names.join(", ")));
        }
    }
    Ok(evidence)
}

/// What the deployment itself says.
fn written(app: &str, deployment: &Value) -> Result<String> {
    let template = &deployment["spec"]["template"];
    let containers = template["spec"]["containers"].as_array();
    let containers = containers.context("a deployment has containers")?;
    expect(containers.len() == 1, || {
        format!(
            "the deployment of {app} itself has {} containers",
            containers.len()
        )
    })?;
    let annotations = template["metadata"]["annotations"].as_object();
    let ours: Vec<_> = annotations
        .context("the deployment has no annotations")?
        .iter()
        .filter(|(name, _)| name.starts_with("dapr.io/"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    Ok(format!(
        "{app} asks for 1 container, and {}",
        ours.join(", ")
    ))
}
