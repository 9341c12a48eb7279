use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::Code;
use trilby_proto::trilby::operator::v1::{
    Failed, Loaded, ReportRequest, ResourceState, resource_state::Outcome,
};
use trilby_testkit::{ApiServer, assert_eventually};

use crate::fixture::{Fixture, definition_without_schema};

/// A sidecar's stream of reports; it ends when this is dropped.
struct Reporter(mpsc::Sender<ReportRequest>);

impl Reporter {
    /// To an operator that leads, or will soon.
    async fn connect(fixture: &Fixture, namespace: &str, app_id: &str) -> Self {
        assert_eventually!(
            fixture
                .operator
                .metrics()
                .await
                .contains("dapr_operator_leader 1")
        );
        let (sender, receiver) = mpsc::channel(8);
        let messages = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
            let message = receiver.recv().await?;
            Some((message, receiver))
        });
        let mut client = fixture.reports(&format!("spiffe://public/ns/{namespace}/{app_id}"));
        tokio::spawn(async move { client.report(messages).await.map(drop) });
        Self(sender)
    }

    /// Says what became of the component's current version.
    async fn say(&self, fixture: &Fixture, component: &str, outcome: Outcome) {
        let component = get(fixture, component).await;
        let metadata = &component["metadata"];
        let text = |name: &str| metadata[name].as_str().expect("text").to_owned();
        let state = ResourceState {
            kind: "Component".to_owned(),
            name: text("name"),
            uid: text("uid"),
            generation: metadata["generation"].as_i64().expect("a number"),
            outcome: Some(outcome),
        };
        let message = ReportRequest {
            states: vec![state],
        };
        self.0.send(message).await.expect("the stream is open");
    }
}

async fn get(fixture: &Fixture, component: &str) -> Value {
    let what = format!("component/{component}");
    fixture.kube.get_json(&fixture.shop, &what).await
}

/// How many sidecars have loaded it, as its status says.
async fn sidecars(fixture: &Fixture, component: &str) -> Value {
    get(fixture, component).await["status"]["sidecars"].clone()
}

fn loaded() -> Outcome {
    Outcome::Loaded(Loaded {})
}

#[tokio::test]
async fn what_sidecars_say_stands_in_the_status_and_is_told_to_no_sidecar() {
    let fixture = Fixture::start().await;
    let cart = fixture.sidecar("cart");
    fixture.apply(&fixture.component("store", &json!([]))).await;
    assert_eventually!(cart.names().await == ["store"]);
    let told = cart.list().await;
    let (one, two) = (
        Reporter::connect(&fixture, &fixture.shop, "cart").await,
        Reporter::connect(&fixture, &fixture.shop, "till").await,
    );
    let stranger = Reporter::connect(&fixture, "elsewhere", "cart").await;
    stranger.say(&fixture, "store", loaded()).await;
    one.say(&fixture, "store", loaded()).await;
    let failed = Failed {
        message: "no host".to_owned(),
        older_in_force: false,
    };
    two.say(&fixture, "store", Outcome::Failed(failed)).await;
    assert_eventually!(sidecars(&fixture, "store").await == "1/2");
    let status = get(&fixture, "store").await["status"].clone();
    assert_eq!(status["apps"][0]["lastError"], "no host", "{status}");
    assert_eq!(cart.list().await, told, "sidecars see no status");

    drop(two);
    assert_eventually!(sidecars(&fixture, "store").await == "1/1");
    let metrics = fixture.operator.metrics().await;
    assert!(
        metrics.contains("dapr_operator_reporting_sidecars 2"),
        "{metrics}"
    );
}

#[tokio::test]
async fn only_the_leader_counts_and_sidecars_find_the_next_one() {
    let mut fixture = Fixture::start().await;
    assert_eventually!(
        fixture
            .operator
            .metrics()
            .await
            .contains("dapr_operator_leader 1")
    );
    let mut second = fixture.replica().await;
    second.start().await;
    fixture.apply(&fixture.component("store", &json!([]))).await;
    let id = format!("spiffe://public/ns/{}/cart", fixture.shop);
    std::mem::swap(&mut fixture.operator, &mut second);
    let refused = fixture.reports(&id).report(stream::pending()).await;
    let refused = refused.expect_err("it does not lead");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");

    assert!(second.stop().await.success());
    assert_eventually!(
        fixture
            .operator
            .metrics()
            .await
            .contains("dapr_operator_leader 1")
    );
    let cart = Reporter::connect(&fixture, &fixture.shop, "cart").await;
    cart.say(&fixture, "store", loaded()).await;
    assert_eventually!(sidecars(&fixture, "store").await == "1/1");
}

#[tokio::test]
async fn a_component_whose_secret_cannot_be_read_says_so() {
    let fixture = Fixture::start().await;
    let password = json!([{"name": "p", "secretKeyRef": {"name": "absent", "key": "password"}}]);
    fixture.apply(&fixture.component("store", &password)).await;
    let accepted = async || get(&fixture, "store").await["status"]["conditions"][0].clone();
    assert_eventually!(accepted().await["reason"] == "SecretUnreadable");
    let message = accepted().await["message"].clone();
    assert_eq!(message, "Secret \"absent\" not found");
    fixture.apply(&fixture.secret("absent", "one")).await;
    assert_eventually!(accepted().await["status"] == "True");
}

#[tokio::test]
async fn definitions_without_status_are_named_once_and_everything_else_works() {
    // Alone, because its definition of a component is as upstream's.
    let api = ApiServer::start().await;
    let mut fixture = Fixture::prepare(&api).await;
    fixture.apply(&without_status()).await;
    fixture.start_sentry().await;
    fixture.configure().await;
    fixture
        .eventually_applied(&fixture.component("one", &json!([])))
        .await;
    fixture.apply(&fixture.component("two", &json!([]))).await;
    fixture.operator.start().await;
    let reporter = Reporter::connect(&fixture, &fixture.shop, "cart").await;
    for component in ["one", "two"] {
        reporter.say(&fixture, component, loaded()).await;
    }
    let log = fixture.operator.log();
    let line = log.wait_for("has no status subresource").await;
    assert!(line.contains("components.dapr.io"), "{line}");
    assert_eventually!({
        let metrics = fixture.operator.metrics().await;
        let unsupported =
            r#"dapr_operator_status_writes_total{kind="Component",outcome="unsupported"} 2"#;
        metrics.contains(unsupported)
    });
    let lines = log.text();
    assert_eq!(
        lines.matches("has no status subresource").count(),
        1,
        "{lines}"
    );
    assert_eq!(fixture.sidecar("cart").names().await, ["one", "two"]);
}

/// The definition of components, without schema and status.
fn without_status() -> Value {
    let mut definition = definition_without_schema();
    definition["spec"]["versions"][0]["subresources"] = Value::Null;
    definition
}
