use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use trilby_testkit::{ApiServer, Kube, assert_eventually};

use crate::fixture::{CRDS, Fixture};

const DEFINITION: &str = "customresourcedefinitions/subscriptions.dapr.io";

/// How the API server reaches the webhook.
async fn client_config(kube: &Kube) -> Value {
    let definition = kube.get_json("default", DEFINITION).await;
    definition["spec"]["conversion"]["webhook"]["clientConfig"].clone()
}

#[tokio::test]
async fn the_definition_of_subscriptions_leads_to_the_operator_whatever_is_applied() {
    let mut fixture = Fixture::prepare(ApiServer::shared().await).await;
    fixture.operator = fixture.replica().await.env("ENABLE_WEBHOOKS", "true");
    fixture.start_sentry().await;
    fixture.configure().await;
    fixture.operator.start().await;
    let bundle = STANDARD.encode(fixture.authority.anchors());
    let is_right = async || {
        let config = client_config(&fixture.kube).await;
        config["caBundle"] == bundle && config["service"]["namespace"] == fixture.system
    };
    assert_eventually!(is_right().await);
    let manifest = std::fs::read_to_string(format!("{CRDS}/subscription.yaml")).unwrap();
    fixture.kube.apply(&manifest).await;
    let patch = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": null}}}}});
    let patch = patch.to_string();
    let reset = ["patch", DEFINITION, "--type=merge", "-p", &patch];
    fixture.kube.kubectl(&reset).await;
    assert_eventually!(is_right().await);
}

#[tokio::test]
async fn subscriptions_are_written_and_read_in_either_version() {
    let api = ApiServer::start().await;
    let mut fixture = Fixture::prepare(&api).await;
    fixture.operator = fixture.replica().await.env("ENABLE_WEBHOOKS", "true");
    fixture.start_sentry().await;
    fixture.configure().await;
    fixture.operator.start().await;
    // An API server outside the cluster's network cannot reach a Service: it is given the address itself.
    let config = json!({
        "service": null,
        "url": format!("https://{}/convert", fixture.operator.webhook_address()),
        "caBundle": STANDARD.encode(fixture.authority.anchors()),
    });
    let patch = json!({"spec": {"conversion": {"webhook": {"clientConfig": config}}}}).to_string();
    let arguments = ["patch", DEFINITION, "--type=merge", "-p", &patch];
    fixture.kube.kubectl(&arguments).await;
    let older = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Subscription",
        "metadata": {"name": "orders", "namespace": fixture.shop},
        "spec": {"pubsubname": "bus", "topic": "orders", "route": "/orders"},
    });
    fixture.eventually_applied(&older).await;
    let get = async |version: &str| {
        let what = format!("subscriptions.{version}.dapr.io/orders");
        fixture.kube.get_json(&fixture.shop, &what).await["spec"].clone()
    };
    assert_eq!(get("v1alpha1").await["route"], "/orders");
    assert_eq!(
        get("v2alpha1").await["routes"],
        json!({"default": "/orders"})
    );
    let rules = json!([{"match": "event.type == \"w\"", "path": "/w"}]);
    let newer = json!({
        "apiVersion": "dapr.io/v2alpha1", "kind": "Subscription",
        "metadata": {"name": "orders", "namespace": fixture.shop},
        "spec": {"pubsubname": "bus", "topic": "orders", "routes": {"rules": rules, "default": "/rest"}},
    });
    fixture.apply(&newer).await;
    assert_eq!(get("v1alpha1").await["route"], "/rest");
    // Who knows nothing of rules changes the route, and leaves the rules alone.
    let patch = r#"[{"op": "replace", "path": "/spec/route", "value": "/changed"}]"#;
    let what = "subscriptions.v1alpha1.dapr.io/orders";
    let arguments = [
        "-n",
        &fixture.shop,
        "patch",
        what,
        "--type=json",
        "-p",
        patch,
    ];
    fixture.kube.kubectl(&arguments).await;
    let routes = json!({"rules": rules, "default": "/changed"});
    assert_eq!(get("v2alpha1").await["routes"], routes);
}
