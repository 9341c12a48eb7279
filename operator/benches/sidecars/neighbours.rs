//! Objects in the API server that are none of the operator's business.

use std::{path::PathBuf, time::Duration};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Resource, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::sleep;
use trilby_testkit::services::Operator;

use crate::{crowd::Crowd, mebibytes, scene::Scene, setting};

/// Requests at once.
const AT_ONCE: usize = 32;
/// What follows is over.
const SETTLED: Duration = Duration::from_secs(15);
/// Bytes in each Secret.
const SECRET: usize = 1024;

pub(crate) async fn run(binaries: &[PathBuf]) {
    let (pods, secrets) = (setting("PODS", 50_000), setting("SECRETS", 20_000));
    println!(
        "| operator | Pods | Secrets | before MiB | with them MiB | peak MiB | restarted MiB | peak MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for binary in binaries {
        let mut scene = Scene::start(binary).await;
        // One Secret is its business. Upstream's begins to watch them all when a sidecar asks for what refers to one.
        scene.apply_component_with_secret("store").await;
        let _one = Crowd::join(&scene, 1).await;
        let before = scene.operator.memory();
        fill(&scene, pods, secrets).await;
        sleep(SETTLED).await;
        let with = scene.operator.memory();
        restart(&mut scene.operator).await;
        let restarted = scene.operator.memory();
        println!(
            "| {} | {pods} | {secrets} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            binary.display(),
            mebibytes(before.resident),
            mebibytes(with.resident),
            mebibytes(with.peak),
            mebibytes(restarted.resident),
            mebibytes(restarted.peak),
        );
    }
}

async fn restart(operator: &mut Operator) {
    operator.stop().await;
    operator.start().await;
    sleep(SETTLED).await;
}

async fn fill(scene: &Scene, pods: usize, secrets: usize) {
    let namespace = scene.api.namespace("neighbours").await;
    let api: Api<Secret> = Api::namespaced(scene.client.clone(), &namespace);
    create(&api, secrets, secret).await;
    let api: Api<Pod> = Api::namespaced(scene.client.clone(), &namespace);
    create(&api, pods, pod).await;
}

async fn create<K>(api: &Api<K>, count: usize, object: fn(usize) -> serde_json::Value)
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let parameters = PostParams::default();
    let created = stream::iter(0..count).map(async |number| {
        let object: K = serde_json::from_value(object(number)).unwrap();
        api.create(&parameters, &object).await.unwrap();
    });
    created.buffer_unordered(AT_ONCE).collect::<()>().await;
}

fn secret(number: usize) -> serde_json::Value {
    json!({"metadata": {"name": format!("secret-{number}")}, "stringData": {"it": "x".repeat(SECRET)}})
}

/// One in ten has a sidecar.
fn pod(number: usize) -> serde_json::Value {
    let annotations = match number % 10 {
        0 => {
            json!({"dapr.io/enabled": "true", "dapr.io/app-id": format!("app-{}", number / 100), "dapr.io/config": "tracing"})
        }
        _ => json!({"prometheus.io/scrape": "true"}),
    };
    json!({
        "metadata": {"name": format!("pod-{number}"), "annotations": annotations, "labels": {"app": format!("app-{}", number / 100)}},
        "spec": {"nodeName": "none", "containers": [{"name": "app", "image": "registry.example.com/app:1"}]},
    })
}
