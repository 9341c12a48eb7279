//! Definitions of the cluster that lack something, and an operator that is told to upgrade them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use trilby_testkit::{ApiServer, Kube, assert_eventually, unexpected};

use crate::{fixture::Fixture, rights};

const KINDS: [&str; 7] = [
    "components",
    "configurations",
    "httpendpoints",
    "mcpservers",
    "resiliencies",
    "subscriptions",
    "workflowaccesspolicies",
];
const COMPONENTS: &str = "customresourcedefinitions/components.dapr.io";
const PROPERTIES: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

/// A control plane whose operator is told so about definitions, and not started.
async fn told(api: &ApiServer, mode: &str) -> Fixture {
    let mut fixture = Fixture::prepare(api).await;
    rights::grant_definitions(api, &fixture.system).await;
    prepare(&mut fixture, mode).await;
    fixture
}

/// The same, confined to its own namespace, where the app is.
async fn confined(api: &ApiServer, mode: &str) -> Fixture {
    let mut fixture = Fixture::prepare(api).await;
    fixture.shop = fixture.system.clone();
    prepare(&mut fixture, mode).await;
    rights::confine(api, &fixture.system).await;
    fixture
}

async fn prepare(fixture: &mut Fixture, mode: &str) {
    fixture.operator = fixture
        .replica()
        .await
        .env("ENABLE_WEBHOOKS", "true")
        .arg("--definitions", mode);
    fixture.start_sentry().await;
    fixture.configure().await;
}

async fn patch(kube: &Kube, definition: &str, operations: &Value) {
    let patch = operations.to_string();
    let arguments = ["patch", definition, "--type=json", "-p", &patch];
    kube.kubectl(&arguments).await;
}

async fn spec(kube: &Kube, definition: &str) -> Value {
    kube.get_json("default", definition).await["spec"].clone()
}

/// Waits until the operator says that a definition stands like this.
async fn stands(fixture: &Fixture, kind: &str, state: &str) {
    let line = format!(
        "dapr_operator_definition_upgrade{{definition=\"{kind}.dapr.io\",state=\"{state}\"}} 1"
    );
    assert_eventually!(fixture.operator.metrics().await.contains(&line));
}

/// Waits for an Event on the definition of components; gives its note.
async fn event(kube: &Kube, reason: &str) -> String {
    kube.eventually("an Event is there", async |kube| {
        let selector = format!("involvedObject.name=components.dapr.io,reason={reason}");
        let arguments = ["get", "events", "-o", "json", "--field-selector", &selector];
        let events = kube.try_kubectl(&arguments).await?;
        let events: Value = serde_json::from_str(&events)?;
        let note = events["items"][0]["message"].as_str();
        note.map(str::to_owned)
            .ok_or_else(|| unexpected(events.clone()))
    })
    .await
}

/// As a definition may be that is older in one thing and newer in another.
async fn disguise(kube: &Kube) {
    let operations = json!([
        {"op": "remove", "path": format!("{PROPERTIES}/scopes")},
        {"op": "add", "path": format!("{PROPERTIES}/spec/properties/novelty"), "value": {"type": "string"}},
    ]);
    patch(kube, COMPONENTS, &operations).await;
}

/// A component that uses what that definition has more.
fn with_novelty(fixture: &Fixture, namespace: &str) -> Value {
    let mut component = fixture.component("store", &json!([]));
    component["metadata"]["namespace"] = namespace.into();
    component["spec"]["novelty"] = "x".into();
    component
}

#[tokio::test]
async fn what_definitions_lack_is_added_and_subscriptions_are_still_converted() {
    let api = ApiServer::start_audited().await;
    let mut fixture = told(&api, "upgrade").await;
    let ours = spec(&api, COMPONENTS).await;
    for kind in KINDS {
        let definition = format!("customresourcedefinitions/{kind}.dapr.io");
        let operations = json!([{"op": "remove", "path": "/spec/versions/0/subresources/status"}]);
        patch(&api, &definition, &operations).await;
    }
    let scopes = json!([{"op": "remove", "path": format!("{PROPERTIES}/scopes")}]);
    patch(&api, COMPONENTS, &scopes).await;
    let policies = "customresourcedefinitions/workflowaccesspolicies.dapr.io";
    api.kubectl(&["delete", policies]).await;
    // An API server outside the cluster's network cannot reach a Service: it is given the address itself.
    let subscriptions = "customresourcedefinitions/subscriptions.dapr.io";
    let client = json!({
        "url": format!("https://{}/convert", fixture.operator.webhook_address()),
        "caBundle": STANDARD.encode(fixture.authority.anchors()),
    });
    let path = "/spec/conversion/webhook/clientConfig";
    let operations = json!([{"op": "replace", "path": path, "value": client}]);
    patch(&api, subscriptions, &operations).await;
    fixture.operator.start().await;

    for kind in KINDS {
        stands(&fixture, kind, "current").await;
    }
    assert_eq!(spec(&api, COMPONENTS).await, ours);
    let note = event(&api, "Upgraded").await;
    assert!(note.contains("v1alpha1 .scopes"), "{note}");
    let metrics = fixture.operator.metrics().await;
    let drift = |line: &&str| line.starts_with("dapr_operator_crd_drift") && !line.ends_with(" 0");
    assert_eq!(
        metrics.lines().find(drift),
        None,
        "nothing is lacking any more"
    );

    let conversion = spec(&api, subscriptions).await["conversion"].clone();
    assert_eq!(conversion["webhook"]["clientConfig"], client);
    let subscription = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Subscription",
        "metadata": {"name": "orders", "namespace": fixture.shop},
        "spec": {"pubsubname": "bus", "topic": "orders", "route": "/orders"},
    });
    fixture.eventually_applied(&subscription).await;
    let newer = "subscriptions.v2alpha1.dapr.io/orders";
    let newer = api.get_json(&fixture.shop, newer).await;
    assert_eq!(newer["spec"]["routes"], json!({"default": "/orders"}));
    // One of seven was created, the others patched: what is granted, was used for each name.
    let forbidden = api.forbidden_to(&fixture.system, rights::ACCOUNT);
    assert_eq!(forbidden, Vec::<String>::new());
}

#[tokio::test]
async fn what_an_object_of_any_namespace_uses_is_not_taken_away_and_what_none_uses_is() {
    let api = ApiServer::start_audited().await;
    let mut fixture = confined(&api, "upgrade").await;
    let ours = spec(&api, COMPONENTS).await;
    disguise(&api).await;
    let before = spec(&api, COMPONENTS).await;
    let elsewhere = api.namespace("elsewhere").await;
    let user = with_novelty(&fixture, &elsewhere);
    // The API server takes a definition up a moment after it is written.
    api.eventually("the field is kept", async |kube| {
        kube.try_apply(&user.to_string()).await?;
        let found = kube.try_get_json(&elsewhere, "component/store").await?;
        match found["spec"]["novelty"] == "x" {
            true => Ok(()),
            false => Err(unexpected(found)),
        }
    })
    .await;
    fixture.operator.start().await;
    stands(&fixture, "components", "refused").await;
    let note = event(&api, "UpgradeRefused").await;
    assert_eq!(note, format!("{elsewhere}/store uses .spec.novelty"));
    let log = fixture.operator.log();
    let line = log.wait_for("definition not upgraded").await;
    assert!(line.contains(".spec.novelty"), "{line}");
    assert_eq!(spec(&api, COMPONENTS).await, before);

    fixture.operator.stop().await;
    fixture.delete(&user).await;
    fixture.operator.start().await;
    stands(&fixture, "components", "current").await;
    let note = event(&api, "Upgraded").await;
    let gone = "Takes away what no object uses, 1: v1alpha1 .spec.novelty";
    assert!(note.contains(gone), "{note}");
    assert_eq!(spec(&api, COMPONENTS).await, ours);
    let forbidden = api.forbidden_to(&fixture.system, rights::ACCOUNT);
    assert_eq!(forbidden, Vec::<String>::new());
}

#[tokio::test]
async fn a_plan_is_told_and_changes_nothing_and_a_newer_definition_is_left() {
    let api = ApiServer::start().await;
    let mut fixture = told(&api, "plan").await;
    disguise(&api).await;
    let more = json!({"type": "string"});
    let more = json!([{"op": "add", "path": format!("{PROPERTIES}/more"), "value": more}]);
    let policies = "customresourcedefinitions/workflowaccesspolicies.dapr.io";
    patch(&api, policies, &more).await;
    let before = spec(&api, COMPONENTS).await;
    fixture.operator.start().await;
    stands(&fixture, "components", "planned").await;
    let note = event(&api, "UpgradePlanned").await;
    assert!(note.contains("adds 1: v1alpha1 .scopes"), "{note}");
    assert!(note.contains("1: v1alpha1 .spec.novelty"), "{note}");
    assert_eq!(spec(&api, COMPONENTS).await, before);
    stands(&fixture, "workflowaccesspolicies", "current").await;
}
