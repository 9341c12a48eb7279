//! Memory of an injector that looks after the pods of a large cluster.

use std::{path::PathBuf, time::Duration};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, from_value, json};
use tokio::time::sleep;
use trilby_testkit::{ApiServer, services::Injector};

use crate::{
    installation::{Installation, Rights},
    megabytes, setting,
};

/// Requests at once.
const AT_ONCE: usize = 32;
/// What follows is over.
const SETTLED: Duration = Duration::from_secs(15);
/// One pod in so many asks for a sidecar.
const ASKING: u64 = 10;
/// Pods of one namespace are left out in a way that the injector cannot tell.
const CHART: [&str; 2] = [
    "dapr_sidecar_injector.matchConditions[0].name=not-hidden",
    "dapr_sidecar_injector.matchConditions[0].expression=!request.namespace.startsWith('hidden')",
];

pub(crate) async fn run(binaries: Vec<PathBuf>) {
    let (pods, lacking) = (setting("PODS", 50_000), setting("LACKING", 0));
    println!(
        "| injector | pods | without sidecar | before MB | with them MB | peak MB | restarted MB | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for binary in binaries {
        let name = binary.display().to_string();
        let mut installation = start(binary).await;
        let before = installation.injector.memory().resident;
        fill(&installation, pods, lacking).await;
        sleep(SETTLED).await;
        let with = installation.injector.memory();
        installation.injector.stop().await;
        installation.injector.start().await;
        sleep(SETTLED).await;
        let restarted = installation.injector.memory();
        let figures = [
            before,
            with.resident,
            with.peak,
            restarted.resident,
            restarted.peak,
        ];
        let figures = figures.map(|bytes| format!("{:.1}", megabytes(bytes)));
        println!("| {name} | {pods} | {lacking} | {} |", figures.join(" | "));
    }
}

/// An injector that has been leading for a while.
async fn start(binary: PathBuf) -> Installation {
    let mut installation = Installation::on(ApiServer::start().await, Rights::Chart).await;
    installation.start_authority();
    installation.install_chart(&CHART).await;
    let injector = std::mem::replace(&mut installation.injector, Injector::new(""));
    installation.injector = injector
        .binary(binary)
        .arg("--pods-without-sidecar", "warn");
    installation.injector.start().await;
    installation.injector.log().wait_for("leading").await;
    sleep(SETTLED).await;
    installation
}

/// One pod in ten asks, and the first of these come past the webhook.
async fn fill(installation: &Installation, pods: u64, lacking: u64) {
    let crowd = installation.api.namespace("crowd").await;
    let hidden = installation.api.namespace("hidden").await;
    let client = client(installation).await;
    let parameters = PostParams::default();
    let created = stream::iter(0..pods).map(async |number| {
        let asks = number.is_multiple_of(ASKING);
        let lacks = asks && number / ASKING < lacking;
        let namespace = if lacks { &hidden } else { &crowd };
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pod = from_value(pod(number, asks)).unwrap();
        api.create(&parameters, &pod).await.unwrap();
    });
    created.buffer_unordered(AT_ONCE).collect::<()>().await;
}

fn pod(number: u64, asks: bool) -> Value {
    let app = format!("app-{}", number / 100);
    let annotations = match asks {
        true => json!({"dapr.io/enabled": "true", "dapr.io/app-id": app}),
        false => json!({"prometheus.io/scrape": "true"}),
    };
    json!({
        "metadata": {"name": format!("pod-{number}"), "annotations": annotations, "labels": {"app": app}},
        "spec": {"containers": [{
            "name": "app", "image": "registry.example/app:1",
            "env": [{"name": "SETTING", "value": "a value of some length"}],
        }]},
    })
}

async fn client(installation: &Installation) -> Client {
    let file = Kubeconfig::read_from(installation.api.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}
