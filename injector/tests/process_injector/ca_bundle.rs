//! The injector's own webhook configuration.

use std::time::Duration;

use anyhow::ensure;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use trilby_testkit::{ca::Authority, http::Client};

use crate::installation::{Installation, Rights, replace};

const PATCH: [&str; 3] = [
    "patch",
    "mutatingwebhookconfiguration",
    "dapr-sidecar-injector",
];

async fn becomes(installation: &Installation, what: &str, pem: &str) {
    installation
        .api
        .eventually(what, async |_| {
            let webhook = installation.webhook().await;
            let bundle = webhook["clientConfig"]["caBundle"]
                .as_str()
                .unwrap_or_default();
            let bundle = STANDARD.decode(bundle)?;
            let bundle = String::from_utf8(bundle)?;
            ensure!(bundle.trim() == pem.trim(), "it is {bundle:?}");
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn the_bundle_is_restored_when_reset_and_follows_the_anchors() {
    let installation = Installation::running(Rights::Full).await;
    let before = installation.webhook().await;
    becomes(
        &installation,
        "the bundle is ours at start",
        installation.anchors(),
    )
    .await;

    let other = Authority::new("other").certificate();
    let reset = json!([{
        "op": "replace", "path": "/webhooks/1/clientConfig/caBundle", "value": STANDARD.encode(other),
    }]);
    let reset = reset.to_string();
    let flags = ["--type=json", "-p", reset.as_str()];
    installation
        .api
        .kubectl(&[&PATCH[..], &flags].concat())
        .await;
    becomes(
        &installation,
        "the bundle is restored",
        installation.anchors(),
    )
    .await;

    let next = Authority::new("next").certificate();
    let both = format!("{}\n{}\n", installation.anchors().trim(), next.trim());
    replace(&installation.anchors_file, &both);
    becomes(&installation, "the bundle has both anchors", &both).await;

    let mut after = installation.webhook().await;
    after["clientConfig"]["caBundle"] = before["clientConfig"]["caBundle"].clone();
    assert_eq!(after, before, "nothing else changed");
    let name = "mutatingwebhookconfiguration/dapr-sidecar-injector";
    let configuration = installation.api.get_json("default", name).await;
    assert_eq!(
        configuration["webhooks"][0]["clientConfig"].get("caBundle"),
        None
    );
}

#[tokio::test]
async fn upstreams_rights_are_enough_to_serve() {
    let installation = Installation::running(Rights::WithoutWatches).await;
    becomes(&installation, "the bundle is ours", installation.anchors()).await;
    installation
        .injector
        .log()
        .wait_for("cannot watch where the webhook is registered")
        .await;
}

#[tokio::test]
async fn what_is_missing_at_start_is_named_and_waited_for() {
    let mut installation = Installation::prepared(Rights::Full).await;
    installation.injector.launch();
    let health = format!("http://{}/healthz", installation.injector.health_address());
    let missing = async |part: &str| {
        let says = async || -> anyhow::Result<()> {
            let answer = Client::host().get(&health).await?;
            ensure!(
                answer.status == 503 && answer.text().contains(part),
                "{}",
                answer.text()
            );
            Ok(())
        };
        let what = format!("health names {part}");
        installation
            .api
            .eventually(&what, async |_| says().await)
            .await;
    };
    missing("security-provider").await;
    missing("webhook-configuration: ").await;

    installation.start_authority();
    installation.register_webhook().await;
    installation.injector.healthy().await;
}

#[tokio::test]
async fn the_injector_stops_in_time_and_comes_back_with_its_webhook() {
    let mut installation = Installation::running(Rights::Full).await;
    let status = tokio::time::timeout(Duration::from_secs(10), installation.injector.stop()).await;
    assert!(status.expect("it stops").success());
    installation.injector.start().await;
    let pod: Value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "again", "annotations": {"dapr.io/enabled": "true"}},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
    });
    installation.api.apply(&pod.to_string()).await;
    let pod = installation.api.get_json("default", "pod/again").await;
    assert_eq!(pod["metadata"]["labels"]["dapr.io/app-id"], "again");
}
