//! The certificate authority in its Secret and ConfigMap.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use trilby_testkit::{
    ApiServer, assert_eventually,
    mesh::{TRUST_DOMAIN, install_crds},
    services::Sentry,
    unexpected,
};

const BUNDLE: &str = "dapr-trust-bundle";

async fn namespace(api: &ApiServer) -> String {
    install_crds(api).await;
    let namespace = api.namespace("dapr-system").await;
    configure(api, &namespace).await;
    namespace
}

async fn configure(api: &ApiServer, namespace: &str) {
    let configuration = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration",
        "metadata": {"name": "daprsystem", "namespace": namespace},
        "spec": {"mtls": {
            "enabled": true,
            "sentryAddress": "unused:443",
            "controlPlaneTrustDomain": TRUST_DOMAIN,
        }},
    });
    api.apply(&configuration.to_string()).await;
}

async fn empty_objects(api: &ApiServer, namespace: &str) {
    for kind in ["Secret", "ConfigMap"] {
        let object = json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {"name": BUNDLE, "namespace": namespace},
        });
        api.apply(&object.to_string()).await;
    }
}

fn sentry(api: &ApiServer, namespace: &str) -> Sentry {
    Sentry::new()
        .kubernetes(api.kubeconfig(), namespace)
        .arg("--trust-domain", TRUST_DOMAIN)
}

async fn secret(api: &ApiServer, namespace: &str) -> Value {
    api.get_json(namespace, &format!("secret/{BUNDLE}")).await["data"].clone()
}

async fn published(api: &ApiServer, namespace: &str) -> String {
    let object = api
        .get_json(namespace, &format!("configmap/{BUNDLE}"))
        .await;
    object["data"]["ca.crt"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The anchors in the Secret, as text.
async fn anchors(api: &ApiServer, namespace: &str) -> String {
    let arguments = ["get", "secret", BUNDLE, "-n", namespace];
    let template = "-o=go-template={{index .data \"ca.crt\" | base64decode}}";
    api.kubectl(&[&arguments[..], &[template]].concat()).await
}

#[tokio::test]
async fn replicas_that_start_together_end_with_one_authority() {
    let api = ApiServer::shared().await;
    for _ in 0..3 {
        let namespace = namespace(api).await;
        empty_objects(api, &namespace).await;
        let mut replicas: Vec<_> = (0..3).map(|_| sentry(api, &namespace)).collect();
        for replica in &mut replicas {
            replica.launch();
        }
        for replica in &mut replicas {
            replica.healthy().await;
        }
        let anchors = anchors(api, &namespace).await;
        assert!(anchors.contains("BEGIN CERTIFICATE"), "{anchors}");
        assert_eq!(published(api, &namespace).await.trim(), anchors.trim());
        for replica in &replicas {
            let caller = crate::caller::Caller {
                sentry: replica.grpc_address(),
                sentry_id: format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/dapr-sentry")
                    .parse()
                    .unwrap(),
                anchors: anchors.clone(),
            };
            // It answers under the one authority, although it believes no token.
            let (code, text) = caller.refusal(crate::caller::request("x", "y", "")).await;
            assert_eq!(code, tonic::Code::PermissionDenied, "{text}");
        }
    }
}

#[tokio::test]
async fn a_restart_keeps_the_authority_byte_for_byte() {
    let api = ApiServer::shared().await;
    let namespace = namespace(api).await;
    empty_objects(api, &namespace).await;
    let mut sentry = sentry(api, &namespace);
    sentry.start().await;
    let before = secret(api, &namespace).await;
    for key in ["ca.crt", "issuer.crt", "issuer.key"] {
        assert!(before[key].is_string(), "{key}");
    }
    assert!(sentry.stop().await.success());
    sentry.start().await;
    assert_eq!(secret(api, &namespace).await, before);
}

#[tokio::test]
async fn a_config_map_that_differs_is_repaired_and_a_lost_secret_is_written_again() {
    let api = ApiServer::shared().await;
    let namespace = namespace(api).await;
    empty_objects(api, &namespace).await;
    let mut sentry = sentry(api, &namespace);
    sentry.start().await;
    let (before, anchors) = (
        secret(api, &namespace).await,
        published(api, &namespace).await,
    );
    let patch = |kind: &'static str, patch: &'static str| {
        let namespace = namespace.clone();
        async move {
            let arguments = [
                "patch",
                kind,
                BUNDLE,
                "-n",
                &namespace,
                "--type=merge",
                "-p",
                patch,
            ];
            api.kubectl(&arguments).await;
        }
    };
    patch(
        "configmap",
        r#"{"data":{"ca.crt":"somebody else's","other":"kept"}}"#,
    )
    .await;
    assert_eventually!(
        published(api, &namespace).await == anchors,
        Duration::from_secs(30)
    );
    patch("secret", r#"{"data":{"issuer.key":null}}"#).await;
    assert_eventually!(
        secret(api, &namespace).await == before,
        Duration::from_secs(30)
    );
    let object = api
        .get_json(&namespace, &format!("configmap/{BUNDLE}"))
        .await;
    assert_eq!(object["data"]["other"], "kept");

    assert!(sentry.stop().await.success());
    patch(
        "configmap",
        r#"{"data":{"ca.crt":"wrong while it was away"}}"#,
    )
    .await;
    sentry.start().await;
    assert_eq!(published(api, &namespace).await, anchors);
    assert_eq!(secret(api, &namespace).await, before);
}

#[tokio::test]
async fn missing_objects_are_named_and_awaited() {
    let api = ApiServer::shared().await;
    let namespace = namespace(api).await;
    let mut sentry = sentry(api, &namespace);
    sentry.launch();
    let name = format!("{namespace}/{BUNDLE}");
    let text = format!("Secret {name} does not exist; the chart creates it");
    sentry.log().wait_for(&text).await;
    assert!(!sentry.is_healthy().await);
    empty_objects(api, &namespace).await;
    sentry.healthy().await;
}

#[tokio::test]
async fn a_new_authority_in_the_secret_takes_effect_and_a_broken_one_does_not() {
    let api = ApiServer::shared().await;
    let namespace = namespace(api).await;
    empty_objects(api, &namespace).await;
    let mut sentry = sentry(api, &namespace);
    sentry.start().await;

    let dir = tempfile::tempdir().unwrap();
    let (ca, key) = openssl_authority(&dir);
    write(api, &namespace, (&ca, &ca, "nonsense")).await;
    let log = sentry.log();
    log.wait_for("certificate authority could not be loaded")
        .await;
    assert!(sentry.is_healthy().await, "the old one goes on");

    write(api, &namespace, (&ca, &ca, &key)).await;
    let caller = crate::caller::Caller {
        sentry: sentry.grpc_address(),
        sentry_id: format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/dapr-sentry")
            .parse()
            .unwrap(),
        anchors: ca.clone(),
    };
    api.eventually(
        "sentry serves with the new authority",
        async |_| match caller.refusal(crate::caller::request("x", "y", "")).await {
            (tonic::Code::PermissionDenied, _) => Ok(()),
            other => Err(unexpected(other)),
        },
    )
    .await;
    assert_eq!(published(api, &namespace).await, ca);
}

#[tokio::test]
async fn a_missing_configuration_is_named_and_awaited() {
    let api = ApiServer::shared().await;
    install_crds(api).await;
    let namespace = api.namespace("dapr-system").await;
    empty_objects(api, &namespace).await;
    let mut sentry = sentry(api, &namespace);
    sentry.launch();
    let log = sentry.log();
    log.wait_for(&format!("{namespace}/daprsystem")).await;
    log.wait_for("it does not exist; the chart creates it")
        .await;
    assert!(!sentry.is_healthy().await);
    configure(api, &namespace).await;
    sentry.healthy().await;
}

fn openssl_authority(dir: &tempfile::TempDir) -> (String, String) {
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let done = std::process::Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "30", "-subj", "/O=mine"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args([std::path::Path::new("-keyout"), &path("key")])
        .args([std::path::Path::new("-out"), &path("ca")])
        .output()
        .expect("openssl is installed");
    assert!(done.status.success(), "{done:?}");
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    (read("ca"), read("key"))
}

async fn write(api: &ApiServer, namespace: &str, (ca, issuer, key): (&str, &str, &str)) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": BUNDLE, "namespace": namespace},
        "stringData": {"ca.crt": ca, "issuer.crt": issuer, "issuer.key": key},
    });
    api.apply(&secret.to_string()).await;
}
