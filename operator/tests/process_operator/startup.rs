use std::time::Duration;

use trilby_testkit::{ApiServer, assert_eventually, http::Client, ports::Port, services::Operator};

use crate::fixture::Fixture;

/// What the health endpoint says.
async fn health(operator: &Operator) -> String {
    let url = format!("http://{}/healthz", operator.health_address());
    match Client::host().get(&url).await {
        Ok(answer) => answer.text(),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn it_waits_for_its_settings_and_for_sentry_and_says_so() {
    let mut fixture = Fixture::prepare(ApiServer::shared().await).await;
    fixture.operator.launch();
    assert_eventually!(health(&fixture.operator).await.contains(&format!(
        "waiting for Configuration {}/daprsystem: ",
        fixture.system
    )));
    fixture.configure().await;
    assert_eventually!(
        health(&fixture.operator)
            .await
            .contains("security-provider: no valid identity certificate: ")
    );
    fixture.start_sentry().await;
    fixture.operator.healthy().await;
    assert!(fixture.sidecar("cart").list().await.is_empty());
}

#[tokio::test]
async fn it_waits_for_an_api_server_that_is_away() {
    let api = ApiServer::shared().await;
    let mut fixture = Fixture::prepare(api).await;
    let text = std::fs::read_to_string(api.kubeconfig()).expect("a kubeconfig");
    let nobody = Port::free();
    let away = text.replace(api.url(), &format!("https://{}", nobody.address()));
    assert_ne!(away, text, "the kubeconfig names its server");
    let operator = fixture.replica().await;
    let path = operator.file("away.kubeconfig", &away);
    fixture.operator = operator.kubernetes(&path, &fixture.system);
    fixture.operator.launch();
    assert_eventually!({
        let says = health(&fixture.operator).await;
        says.contains("waiting for Configuration") && says.contains("Connection refused")
    });
}

#[tokio::test]
async fn without_its_namespace_it_ends_with_the_reason() {
    let mut operator = Operator::new();
    operator.launch();
    let status = operator.ended(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(1));
    operator
        .log()
        .wait_for("environment variable NAMESPACE is required")
        .await;
}

#[tokio::test]
async fn an_unknown_flag_is_refused() {
    let mut operator = Operator::new().raw_arg("--no-such-flag");
    operator.launch();
    let status = operator.ended(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(2));
    operator.log().wait_for("--no-such-flag").await;
}
