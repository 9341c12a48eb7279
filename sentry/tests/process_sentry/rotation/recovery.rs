//! What people do when it is broken: the commands of `docs/security/identity.md`.

use serde_json::Value;
use trilby_testkit::{ApiServer, assert_eventually};

use super::{BUNDLE, LIMIT, caller, config_map, replica, secret, status};
use crate::caller::request;

/// The documents of the authority, without what a rotation adds.
async fn authority(api: &ApiServer, namespace: &str) -> [Value; 4] {
    let documents = secret(api, namespace).await;
    ["ca.crt", "ca.key", "issuer.crt", "issuer.key"].map(|key| documents[key].clone())
}

async fn delete(api: &ApiServer, namespace: &str) {
    let delete = ["delete", "secret", BUNDLE, "--ignore-not-found"];
    api.kubectl(&[&["-n", namespace], &delete[..]].concat())
        .await;
}

async fn create(api: &ApiServer, namespace: &str) {
    let create = ["-n", namespace, "create", "secret", "generic", BUNDLE];
    api.kubectl(&create).await;
}

#[tokio::test]
async fn a_deleted_secret_comes_back_from_a_replica_that_runs_and_is_made_anew_without_one() {
    let (api, system, mut sentry) = replica("1h").await;
    let before = authority(api, &system).await;
    delete(api, &system).await;
    sentry
        .log()
        .wait_for("does not exist; the chart creates it")
        .await;
    assert!(sentry.is_healthy().await, "it goes on");
    create(api, &system).await;
    assert_eventually!(authority(api, &system).await == before, LIMIT);

    sentry.stop().await;
    delete(api, &system).await;
    create(api, &system).await;
    sentry.start().await;
    let anew = authority(api, &system).await;
    assert!(anew.iter().zip(&before).all(|(new, old)| new != old));
    let anchors = config_map(api, &system, "ca.crt").await;
    let caller = caller(&sentry, &system, &anchors);
    let (code, text) = caller.refusal(request("x", "y", "")).await;
    assert_eq!(code, tonic::Code::PermissionDenied, "it is trusted: {text}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_removed_by_hand() {
    let (api, system, sentry) = replica("1h").await;
    let before = authority(api, &system).await;
    let patch = async |kind: &str, patch: &str| {
        let secret = ["-n", &system, "patch", "secret", BUNDLE, kind, "-p", patch];
        api.kubectl(&secret).await;
    };
    patch("--type=merge", r#"{"data":{"rotation.json":"ew=="}}"#).await;
    let told = |status: &str| status.contains("rotation.json cannot be read");
    status(api, &system, told).await;
    let unusable = "dapr_sentry_rotation_usable 0";
    assert_eventually!(sentry.metrics().await.contains(unusable), LIMIT);
    let remove = r#"[{"op":"remove","path":"/data/rotation.json"}]"#;
    patch("--type=json", remove).await;
    status(api, &system, |status| !told(status)).await;
    assert_eq!(authority(api, &system).await, before);
    let events = api
        .kubectl(&[
            "-n",
            &system,
            "get",
            "events",
            "--field-selector",
            "involvedObject.name=dapr-trust-bundle",
        ])
        .await;
    assert!(events.contains("RotationFailed"), "{events}");
}
