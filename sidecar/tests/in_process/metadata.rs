//! Metadata, health and shutdown.

use http::StatusCode;
use serde_json::json;
use trilby_testkit::http::Client;

use crate::app;
use crate::sidecar::{Directory, Settings, Sidecar};

#[tokio::test]
async fn sidecar_describes_itself() {
    let app = app::start().await;
    let a = Sidecar::start(Settings::new("a").app(app), &Directory::default()).await;
    let document = a.get("/v1.0/metadata").await.json();
    assert_eq!(document["id"], "a");
    assert_eq!(document["runtimeVersion"], "1.18.0");
    assert_eq!(document["extended"]["daprRuntimeVersion"], "1.18.0");
    assert_eq!(document["extended"]["product"], "Trilby");
    assert_eq!(
        document["appConnectionProperties"],
        json!({ "port": app.port(), "protocol": "http", "channelAddress": "127.0.0.1" })
    );
    assert_eq!(
        document["actorRuntime"],
        json!({
            "runtimeStatus": "DISABLED", "hostReady": false, "placement": "placement: disconnected"
        })
    );
}

#[tokio::test]
async fn notes_are_kept() {
    let a = Sidecar::start(Settings::new("a"), &Directory::default()).await;
    let put = Client::host()
        .put(&a.url("/v1.0/metadata/cliPID"), "42")
        .await
        .unwrap();
    assert_eq!(put.status, StatusCode::NO_CONTENT);
    assert_eq!(
        a.get("/v1.0/metadata").await.json()["extended"]["cliPID"],
        "42"
    );
}

#[tokio::test]
async fn health_tells_applications_apart() {
    let a = Sidecar::start(Settings::new("a"), &Directory::default()).await;
    assert_eq!(
        a.get("/v1.0/healthz?appid=a").await.status,
        StatusCode::NO_CONTENT
    );
    let other = a.get("/v1.0/healthz?appid=b").await;
    assert_eq!(other.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(other.json()["errorCode"], "ERR_HEALTH_APPID_NOT_MATCH");
}

#[tokio::test]
async fn application_that_is_awaited_is_what_is_missing() {
    let away = "127.0.0.1:1".parse().unwrap();
    let a = Sidecar::launch(Settings::new("a").app(away), &Directory::default()).await;
    assert_eq!(
        a.get("/v1.0/healthz/outbound").await.status,
        StatusCode::NO_CONTENT
    );
    let health = a.get("/v1.0/healthz").await;
    assert_eq!(health.status, StatusCode::INTERNAL_SERVER_ERROR);
    let body = health.json();
    assert_eq!(body["errorCode"], "ERR_HEALTH_NOT_READY");
    assert!(
        body["message"].as_str().unwrap().contains("runtime"),
        "{body}"
    );
}

#[tokio::test]
async fn shutdown_api_ends_the_process() {
    let a = Sidecar::start(Settings::new("a"), &Directory::default()).await;
    assert_eq!(
        a.post("/v1.0/shutdown", "").await.status,
        StatusCode::NO_CONTENT
    );
    let ended = tokio::time::timeout(
        std::time::Duration::from_secs(5),
        a.process.shutdown().cancelled(),
    )
    .await;
    assert!(ended.is_ok());
    a.process
        .stop(std::time::Duration::from_secs(5))
        .await
        .unwrap();
}

#[tokio::test]
async fn blocked_shutdown_keeps_serving_for_a_while() {
    let settings = Settings::new("a")
        .app(app::start().await)
        .flags(&["--dapr-block-shutdown-duration=1s"]);
    let a = Sidecar::start(settings, &Directory::default()).await;
    a.process.shutdown().cancel();
    assert_eq!(
        a.get("/v1.0/invoke/a/method/x").await.status,
        StatusCode::OK
    );
    let ended = a.process.stop(std::time::Duration::from_secs(10));
    ended.await.unwrap();
    assert!(
        Client::host()
            .get(&a.url("/v1.0/healthz/outbound"))
            .await
            .is_err()
    );
}
