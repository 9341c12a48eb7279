//! Real sidecars, self-hosted, that find each other, or say why they do not.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod consul;

use http::StatusCode;
use tempfile::TempDir;
use trilby_testkit::eventually::eventually;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

/// Multicast on the loopback interface alone: nothing of a test leaves this machine.
const MDNS: &str = "component: mdns\n    configuration:\n      interfaces: [lo]";

/// An application that answers the path it was asked for.
async fn echo() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().fallback(|uri: http::Uri| async move { uri.to_string() });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

/// A name that no other process on this machine has.
fn app(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// A Configuration with this name resolution.
fn configuration(name_resolution: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: names\nspec:\n  \
         nameResolution:\n    {name_resolution}\n"
    );
    std::fs::write(folder.path().join("config.yaml"), text).unwrap();
    folder
}

async fn start(app_id: &str, configuration: &TempDir) -> Daprd {
    let file = configuration.path().join("config.yaml");
    let mut daprd = Daprd::new(app_id)
        .app_port(echo().await)
        .arg("--config", file.display());
    daprd.start().await;
    daprd
}

async fn invoke(daprd: &Daprd, app_id: &str) -> Response {
    let url = daprd.url(&format!("/v1.0/invoke/{app_id}/method/here"));
    Client::host().get(&url).await.unwrap()
}

async fn finds(daprd: &Daprd, app_id: &str) {
    eventually(&format!("{app_id} is found"), async || {
        let response = invoke(daprd, app_id).await;
        if response.status == StatusCode::OK && response.text() == "/here" {
            return Ok(());
        }
        Err(response.text().to_owned())
    })
    .await;
}

#[tokio::test]
async fn sidecars_find_each_other_by_multicast_dns() {
    let configuration = configuration(MDNS);
    let (a, b) = (app("mdns-a"), app("mdns-b"));
    let (of_a, of_b) = (
        start(&a, &configuration).await,
        start(&b, &configuration).await,
    );
    finds(&of_a, &b).await;
    finds(&of_b, &a).await;
    let missing = invoke(&of_a, &app("nobody")).await;
    assert_eq!(missing.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        missing.text().contains("couldn't find service"),
        "{}",
        missing.text()
    );
}

#[tokio::test]
async fn sidecars_find_each_other_in_a_database_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.db");
    let configuration = configuration(&format!(
        "component: sqlite\n    configuration:\n      connectionString: {}",
        file.display()
    ));
    let (of_a, of_b) = (
        start("a", &configuration).await,
        start("b", &configuration).await,
    );
    finds(&of_a, "b").await;
    finds(&of_b, "a").await;
}

#[tokio::test]
async fn a_sidecar_that_is_ready_is_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.db");
    let configuration = configuration(&format!(
        "component: sqlite\n    configuration:\n      connectionString: {}",
        file.display()
    ));
    let of_a = start("a", &configuration).await;
    let _of_b = start("b", &configuration).await;
    let response = invoke(&of_a, "b").await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text());
}

#[tokio::test]
async fn a_resolver_that_cannot_be_had_is_named_everywhere() {
    let configuration = configuration("component: aws.cloudmap");
    let daprd = start("lonely", &configuration).await;
    let response = invoke(&daprd, "b").await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    let reason = "nameresolution.aws.cloudmap is not there yet";
    assert!(response.text().contains(reason), "{}", response.text());
    let metadata = Client::host().get(&daprd.url("/v1.0/metadata")).await;
    let metadata = metadata.unwrap().json();
    let told = metadata["extended"]["nameResolution.error"].as_str();
    assert!(told.is_some_and(|told| told.contains(reason)), "{metadata}");
    assert!(daprd.log().text().contains(reason));
}
