//! Real sidecars that find each other with a real Consul, or say why they do not.

use http::StatusCode;
use trilby_testkit::eventually::eventually;
use trilby_testkit::http::Client;
use trilby_testkit::servers::consul::Consul;
use trilby_testkit::services::Daprd;

use super::{echo, finds, invoke};

/// A sidecar that registers itself with `consul`, which looks at its health every second.
async fn sidecar(app_id: &str, consul: &Consul, more: &[&str]) -> Daprd {
    let daprd = Daprd::new(app_id).app_port(echo().await);
    let text = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: names\nspec:\n  nameResolution:\n    \
         component: hashicorp.consul\n    configuration:\n      client:\n        address: {}\n      \
         selfRegister: true\n      checks:\n      - name: up\n        http: {}\n        interval: 1s\n",
        consul.address(),
        daprd.url("/v1.0/healthz"),
    );
    let more = more.iter().map(|line| format!("      {line}\n"));
    let text = text + &more.collect::<String>();
    let file = daprd.file("config.yaml", &text);
    let mut daprd = daprd.arg("--config", file.display());
    daprd.start().await;
    daprd
}

async fn misses(daprd: &Daprd, app_id: &str) {
    let nobody = format!("no healthy services found with AppID '{app_id}'");
    eventually(&format!("{app_id} is not found"), async || {
        let response = invoke(daprd, app_id).await;
        if response.status == StatusCode::INTERNAL_SERVER_ERROR && response.text().contains(&nobody)
        {
            return Ok(());
        }
        Err(response.text())
    })
    .await;
}

#[tokio::test]
async fn sidecars_find_each_other_until_one_ends() {
    let consul = Consul::start().await;
    let more = ["selfDeregister: true", "selfRegistre: true"];
    let of_a = sidecar("a", &consul, &more).await;
    let mut of_b = sidecar("b", &consul, &more).await;
    finds(&of_a, "b").await;
    finds(&of_b, "a").await;
    let log = of_a.log().text();
    assert!(log.contains("selfRegistre is no setting"), "{log}");
    of_b.stop().await;
    let services = format!("http://{}/v1/agent/services", consul.address());
    let services = Client::host().get(&services).await.unwrap().json();
    let services: Vec<_> = services.as_object().unwrap().keys().collect();
    assert!(
        matches!(services[..], [only] if only.starts_with("a-")),
        "{services:?}"
    );
    misses(&of_a, "b").await;
}

#[tokio::test]
async fn a_local_registry_follows_those_that_come_and_go() {
    let consul = Consul::start().await;
    let of_a = sidecar("a", &consul, &["useCache: true"]).await;
    misses(&of_a, "b").await;
    let mut of_b = sidecar("b", &consul, &[]).await;
    finds(&of_a, "b").await;
    of_b.kill().await;
    misses(&of_a, "b").await;
    let _again = sidecar("b", &consul, &[]).await;
    finds(&of_a, "b").await;
}

#[tokio::test]
async fn what_is_known_is_still_found_while_consul_is_away() {
    let mut consul = Consul::start().await;
    let of_a = sidecar("a", &consul, &["useCache: true"]).await;
    let _of_b = sidecar("b", &consul, &[]).await;
    finds(&of_a, "b").await;
    consul.stop().await;
    eventually("the watch fails", async || {
        let log = of_a.log().text();
        if log.contains("watching a service failed") {
            return Ok(());
        }
        Err(log)
    })
    .await;
    let response = invoke(&of_a, "b").await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text());
}

#[tokio::test]
async fn consul_may_come_late_and_forget() {
    let mut consul = Consul::stopped();
    let of_a = sidecar("a", &consul, &[]).await;
    let _of_b = sidecar("b", &consul, &[]).await;
    let response = invoke(&of_a, "b").await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    let reason = "name resolver not initialized: hashicorp.consul: ";
    assert!(response.text().contains(reason), "{}", response.text());
    let metadata = Client::host().get(&of_a.url("/v1.0/metadata")).await;
    let metadata = metadata.unwrap().json();
    let told = metadata["extended"]["nameResolution.error"].as_str();
    assert!(
        told.is_some_and(|told| told.contains("hashicorp.consul")),
        "{metadata}"
    );
    consul.resume().await;
    finds(&of_a, "b").await;
    // In memory alone: what restarts knows nobody.
    consul.stop().await;
    consul.resume().await;
    finds(&of_a, "b").await;
}
