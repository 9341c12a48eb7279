//! Starts that fail, with the reason.

use std::time::Duration;

use trilby_testkit::services::Injector;

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn everything_that_is_wrong_with_the_environment_is_named_at_once() {
    let mut injector = Injector::new("")
        .env("SIDECAR_RUN_AS_USER", "nobody")
        .env("ALLOWED_SERVICE_ACCOUNTS", "[:x");
    injector.launch();
    let status = injector.ended(LIMIT).await;
    assert_eq!(status.code(), Some(1));
    let log = injector.log().text();
    for part in [
        "NAMESPACE: must be set",
        "SIDECAR_IMAGE: must be set",
        "SIDECAR_RUN_AS_USER",
        "malformed character class",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
}

#[tokio::test]
async fn an_unknown_flag_is_refused() {
    let mut injector = Injector::new("image").arg("--no-such-flag", "1");
    injector.launch();
    let status = injector.ended(LIMIT).await;
    assert_eq!(status.code(), Some(2));
    assert!(injector.log().text().contains("--no-such-flag"));
}

#[tokio::test]
async fn without_kubernetes_it_says_so() {
    let mut injector = Injector::new("image")
        .env("NAMESPACE", "dapr-system")
        .arg("--kubeconfig", "/nowhere");
    injector.launch();
    let status = injector.ended(LIMIT).await;
    assert_eq!(status.code(), Some(1));
    let log = injector.log().text();
    assert!(log.contains("no kubeconfig file to use"), "{log}");
}
