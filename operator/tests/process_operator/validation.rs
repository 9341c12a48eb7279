use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use trilby_testkit::{
    ApiServer, Kube, assert_eventually, eventually::eventually, services::Operator,
};

use crate::{fixture::Fixture, rights};

const WEBHOOKS: &str = "validatingwebhookconfigurations/dapr-operator-validation";

/// What `kubectl` says of an object that it applies without changing anything.
struct Said {
    accepted: bool,
    text: String,
}

impl Said {
    fn warns_of(&self, text: &str) -> bool {
        self.accepted && self.text.contains("Warning: ") && self.text.contains(text)
    }
}

/// An operator of this strictness, whom this API server asks.
async fn start(api: &ApiServer, strictness: &str) -> Fixture {
    let mut fixture = Fixture::prepare(api).await;
    fixture.operator = fixture
        .replica()
        .await
        .env("ENABLE_WEBHOOKS", "true")
        .arg("--validation", strictness);
    fixture.start_sentry().await;
    fixture.configure().await;
    rights::grant_validation(&fixture.kube, &fixture.system).await;
    redirect(&fixture.kube, &fixture.operator).await;
    fixture.operator.start().await;
    let bundle = STANDARD.encode(fixture.authority.anchors());
    let trusts = async || {
        let object = fixture.kube.get_json("default", WEBHOOKS).await;
        object["webhooks"][0]["clientConfig"]["caBundle"] == bundle
    };
    assert_eventually!(trusts().await);
    fixture
}

/// An API server outside the cluster's network cannot reach a Service: it is given the address itself.
async fn redirect(kube: &Kube, operator: &Operator) {
    let config = json!({"url": format!("https://{}/validate", operator.webhook_address())});
    let patch = json!([{"op": "replace", "path": "/webhooks/0/clientConfig", "value": config}]);
    let patch = patch.to_string();
    let arguments = ["patch", WEBHOOKS, "--type=json", "-p", &patch];
    kube.kubectl(&arguments).await;
}

async fn say(fixture: &Fixture, object: &Value) -> Said {
    let file = fixture.operator.file("object.json", &object.to_string());
    let mut kubectl = fixture.kube.command("kubectl").expect("kubectl is there");
    kubectl.args(["apply", "--dry-run=server", "-f"]).arg(file);
    let output = kubectl.output().await.expect("kubectl runs");
    Said {
        accepted: output.status.success(),
        text: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits for this warning: what is not found out in time is not spoken of.
async fn warned(fixture: &Fixture, object: &Value, text: &str) {
    assert_eventually!(say(fixture, object).await.warns_of(text));
}

/// Waits for this refusal.
async fn refused(fixture: &Fixture, object: &Value, text: &str) -> String {
    eventually("it is refused", async || {
        let said = say(fixture, object).await;
        match !said.accepted && said.text.contains(text) {
            true => Ok(said.text),
            false => Err(said.text),
        }
    })
    .await
}

fn subscription(fixture: &Fixture, version: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("dapr.io/{version}"), "kind": "Subscription",
        "metadata": {"name": "orders", "namespace": fixture.shop}, "spec": spec,
    })
}

#[tokio::test]
async fn mistakes_are_warnings_and_nothing_is_refused_or_held_up() {
    let api = ApiServer::start().await;
    let mut fixture = start(&api, "warn").await;
    let misspelt = fixture.component(
        "store",
        &json!([{"name": "redisHots", "value": "redis:6379"}]),
    );
    // The API server takes up a webhook's new certificates in its own time, and until then goes on without it.
    warned(&fixture, &misspelt, "did you mean redisHost").await;
    warned(&fixture, &misspelt, "spec.metadata[redisHost]: is missing").await;

    fixture.apply(&fixture.secret("redis", "x")).await;
    let reference = |secret: &str, key: &str| {
        fixture.component("store", &json!([
            {"name": "redisHost", "value": "redis:6379"}, {"name": "actorStateStore", "value": "true"},
            {"name": "redisPassword", "secretKeyRef": {"name": secret, "key": key}},
        ]))
    };
    for (secret, key, text) in [
        (
            "none",
            "password",
            "refers to the Secret \"none\", which does not exist",
        ),
        (
            "redis",
            "pass",
            "refers to the key \"pass\", which the Secret \"redis\" does not have",
        ),
    ] {
        warned(&fixture, &reference(secret, key), text).await;
    }
    let said = say(&fixture, &reference("redis", "password")).await;
    assert!(said.accepted && said.text.is_empty(), "{}", said.text);

    fixture.apply(&reference("redis", "password")).await;
    let mut second = reference("redis", "password");
    second["metadata"]["name"] = "second".into();
    warned(
        &fixture,
        &second,
        "the Component \"store\" is the actors' state store as well",
    )
    .await;
    let mut elsewhere = reference("any", "any");
    elsewhere["auth"] = json!({"secretStore": "vault"});
    warned(
        &fixture,
        &elsewhere,
        "names the secret store \"vault\", but there is no such Component",
    )
    .await;

    let spec = json!({"pubsubname": "bus", "topic": "t", "routes": {"default": "/t"}});
    warned(
        &fixture,
        &subscription(&fixture, "v2alpha1", spec),
        "names the Component \"bus\", which does not exist",
    )
    .await;

    fixture.operator.stop().await;
    fixture.apply(&misspelt).await;
}

#[tokio::test]
async fn strictness_refuses_mistakes_with_all_that_is_wrong() {
    let api = ApiServer::start().await;
    let fixture = start(&api, "strict").await;
    let misspelt = fixture.component("store", &json!([{"name": "redisHots", "value": "s3cret"}]));
    let refusal = refused(&fixture, &misspelt, "did you mean redisHost").await;
    for text in ["validation.dapr.io", "spec.metadata[redisHost]: is missing"] {
        assert!(refusal.contains(text), "{refusal}");
    }
    assert!(!refusal.contains("s3cret"), "{refusal}");
    let mut pluggable = misspelt.clone();
    pluggable["spec"]["type"] = "state.mine".into();
    warned(
        &fixture,
        &pluggable,
        "works only if it is a pluggable component",
    )
    .await;
    let resiliency = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": "r", "namespace": fixture.shop},
        "spec": {"policies": {}, "targets": {"apps": {"a": {"retry": "often"}}}},
    });
    refused(&fixture, &resiliency, "names the retry policy \"often\"").await;
}
