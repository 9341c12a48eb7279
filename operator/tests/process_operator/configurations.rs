use serde_json::{Value, json};
use tonic::Code;
use trilby_proto::operator::v1::ResourceEventType as Event;
use trilby_testkit::assert_eventually;

use crate::fixture::{Fixture, decode, message, name};

fn configuration(fixture: &Fixture, name: &str, rate: &str) -> Value {
    json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration",
        "metadata": {"name": name, "namespace": fixture.shop},
        "spec": {"tracing": {"samplingRate": rate}},
    })
}

/// A pod of the app that uses a Configuration. No node runs it.
fn pod(fixture: &Fixture, app_id: &str, configuration: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": app_id, "namespace": fixture.shop,
            "annotations": {
                "dapr.io/enabled": "true", "dapr.io/app-id": app_id, "dapr.io/config": configuration,
            },
        },
        "spec": {"containers": [{"name": "app", "image": "e2e.local/none:1"}]},
    })
}

#[tokio::test]
async fn a_configuration_is_there_for_whoever_asks_by_name() {
    let fixture = Fixture::start().await;
    let cart = fixture.sidecar("cart");
    let missing = cart.configuration("tracing").await.expect_err("not there");
    assert_eq!(missing.code(), Code::Unknown);
    assert_eq!(
        missing.message(),
        format!(
            "error getting configuration {}/tracing: Configuration.dapr.io \"tracing\" not found",
            fixture.shop
        )
    );
    fixture
        .apply(&configuration(&fixture, "tracing", "0.5"))
        .await;
    assert_eventually!(cart.configuration("tracing").await.is_ok());
    let tracing = cart.configuration("tracing").await.expect("there");
    assert_eq!(tracing["spec"]["tracing"]["samplingRate"], "0.5");
    assert_eq!(tracing["kind"], "Configuration");
}

#[tokio::test]
async fn a_sidecar_hears_of_the_configuration_its_pods_use_and_of_no_other() {
    let fixture = Fixture::start().await;
    fixture.apply(&pod(&fixture, "cart", "mine")).await;
    fixture.apply(&configuration(&fixture, "mine", "0")).await;
    let cart = fixture.sidecar("cart");
    assert_eventually!(cart.configuration("mine").await.is_ok());
    let mut events = cart.configuration_events().await;

    fixture.apply(&configuration(&fixture, "others", "1")).await;
    assert_eventually!(cart.configuration("others").await.is_ok());
    fixture.apply(&configuration(&fixture, "mine", "1")).await;
    let event = message(&mut events).await;
    let mine = decode(&event.configuration);
    assert_eq!(
        (event.r#type(), name(&mine)),
        (Event::Updated, "mine".into())
    );
    assert_eq!(cart.configuration("mine").await.expect("there"), mine);
}
