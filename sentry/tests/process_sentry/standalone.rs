//! Sentry on a machine of its own, with files.

use std::{fs, path::Path, time::Duration};

use tonic::Code;
use trilby_testkit::{assert_eventually, services::Sentry};

use crate::caller::{Caller, identity, openssl_verify, request};

fn sentry(dir: &Path) -> Sentry {
    Sentry::new()
        .arg("--issuer-credentials", dir.display())
        .arg("--trust-domain", "td")
}

fn caller(sentry: &Sentry, dir: &Path) -> Caller {
    Caller {
        sentry: sentry.grpc_address(),
        sentry_id: "spiffe://td/ns/default/dapr-sentry".parse().unwrap(),
        anchors: fs::read_to_string(dir.join("ca.crt")).unwrap(),
    }
}

#[tokio::test]
async fn anybody_gets_what_they_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut sentry = sentry(dir.path());
    sentry.start().await;
    let caller = caller(&sentry, dir.path());
    let mut asked = request("shop", "cart", "");
    let response = caller.sign(asked.clone()).await.unwrap();
    assert_eq!(identity(&response), "spiffe://public/ns/shop/cart");
    openssl_verify(&response);
    asked.trust_domain = "shop.example".to_owned();
    let response = caller.sign(asked.clone()).await.unwrap();
    assert_eq!(identity(&response), "spiffe://shop.example/ns/shop/cart");

    asked.namespace = "no/slash".to_owned();
    let refusal = caller.refusal(asked).await;
    assert_eq!(
        refusal,
        (Code::Internal, "failed to sign certificate".to_owned())
    );
}

#[tokio::test]
async fn the_files_survive_a_restart_and_a_missing_one_replaces_all() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    let all = || ["ca.crt", "issuer.crt", "issuer.key"].map(read);
    let mut sentry = sentry(dir.path());
    sentry.start().await;
    let first = all();
    assert!(sentry.stop().await.success());
    sentry.start().await;
    assert_eq!(all(), first);
    assert!(sentry.stop().await.success());
    fs::remove_file(dir.path().join("issuer.key")).unwrap();
    sentry.start().await;
    let second = all();
    assert!(first.iter().zip(&second).all(|(old, new)| old != new));
}

#[tokio::test]
async fn certificates_of_seconds_are_issued_and_sentry_renews_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let sentry = sentry(dir.path());
    let configuration = sentry.file(
        "config.yaml",
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: x}\n\
         spec: {mtls: {workloadCertTTL: 2s, allowedClockSkew: 1s}}\n",
    );
    let mut sentry = sentry.arg("--config", configuration.display());
    sentry.start().await;
    let log = sentry.log();
    let first = log.position();
    log.wait_for_after(first, "own certificate signed").await;
    let second = log.position();
    log.wait_for_after(second, "own certificate signed").await;
    let response = caller(&sentry, dir.path())
        .sign(request("shop", "cart", ""))
        .await
        .unwrap();
    assert_eq!(identity(&response), "spiffe://public/ns/shop/cart");
}

#[tokio::test]
async fn what_cannot_work_ends_the_process_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let check = async |sentry: Sentry, expected: &str| {
        let mut sentry = sentry;
        sentry.launch();
        let status = sentry.ended(Duration::from_secs(20)).await;
        assert!(!status.success());
        let text = sentry.log().text();
        assert!(text.contains(expected), "{text}");
    };
    let missing = dir.path().join("missing");
    check(sentry(&missing), "cannot write").await;
    check(
        sentry(dir.path()).arg("--trust-domain", "Not Valid"),
        "invalid trust domain",
    )
    .await;
    check(
        sentry(dir.path()).arg("--jwt-issuer", "https://example.org"),
        "jwt-issuer cannot be set when jwt-enabled is false",
    )
    .await;
    check(
        sentry(dir.path()).arg("--config", "/nonexistent.yaml"),
        "/nonexistent.yaml",
    )
    .await;
    fs::write(dir.path().join("ca.crt"), "nonsense").unwrap();
    fs::write(dir.path().join("issuer.crt"), "nonsense").unwrap();
    fs::write(dir.path().join("issuer.key"), "nonsense").unwrap();
    check(
        sentry(dir.path()),
        "the stored certificate authority is unusable: ca.crt: ",
    )
    .await;
}

#[tokio::test]
async fn everybody_is_believed_beyond_this_machine_with_a_warning_only() {
    let dir = tempfile::tempdir().unwrap();
    let warning = "whoever reaches the port can be anybody";
    let mut local = sentry(dir.path());
    local.start().await;
    assert!(!local.log().text().contains(warning));
    assert!(local.stop().await.success());
    let mut open = sentry(dir.path())
        .arg("--listen-address", "0.0.0.0")
        .raw_arg("--insecure-local-control-plane");
    open.start().await;
    let line = open.log().wait_for(warning).await;
    assert!(line.contains("control_plane_is_local=true"), "{line}");
    // This machine still gets what it asks for.
    let asked = request("default", "dapr-placement", "");
    caller(&open, dir.path()).sign(asked).await.unwrap();
}

#[tokio::test]
async fn a_changed_configuration_takes_effect_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let configure = |sentry: &Sentry, mtls: &str| {
        sentry.file(
            "config.yaml",
            &format!("kind: Configuration\nspec: {{mtls: {mtls}}}\n"),
        )
    };
    let sentry = sentry(dir.path());
    let path = configure(&sentry, "{workloadCertTTL: 24h}");
    let mut sentry = sentry.arg("--config", path.display());
    sentry.start().await;
    configure(
        &sentry,
        "{workloadCertTTL: 1h, controlPlaneTrustDomain: other}",
    );
    let log = sentry.log();
    log.wait_for("certificates hold for another time from now on")
        .await;
    log.wait_for("controlPlaneTrustDomain differs from --trust-domain")
        .await;
    let response = caller(&sentry, dir.path())
        .sign(request("shop", "cart", ""))
        .await
        .unwrap();
    let end = response.valid_until.unwrap().seconds;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let left = end - i64::try_from(now.as_secs()).unwrap();
    assert!((3000..=3600).contains(&left), "{left}");
    configure(&sentry, "{workloadCertTTL: soon}");
    log.wait_for("the Configuration cannot be used").await;
    let unusable = "dapr_sentry_configuration_usable 0";
    assert_eventually!(sentry.metrics().await.contains(unusable));
    assert!(sentry.is_healthy().await);
}
