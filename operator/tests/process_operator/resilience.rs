//! What goes wrong around an operator, and what its sidecars see of that.

use serde_json::{Value, json};
use trilby_proto::operator::v1::{self as proto, ResourceEventType as Event};
use trilby_testkit::{ApiServer, assert_eventually};

use crate::{
    fixture::{DEFINITIONS, Fixture, Sidecar, decode, message, name, next, value},
    gate::Gate,
    rights,
};

fn host(value: &str) -> Value {
    json!([{"name": "redisHost", "value": value}])
}

impl Fixture {
    /// An operator behind a gate, with the components `same`, `changed` and `gone`, and a sidecar that knows them.
    async fn behind_a_gate(api: &ApiServer) -> (Self, Gate) {
        let mut fixture = Self::prepare(api).await;
        fixture.start_sentry().await;
        fixture.configure().await;
        for name in ["same", "changed", "gone"] {
            let component = fixture.component(name, &host("one"));
            fixture.eventually_applied(&component).await;
        }
        let gate = Gate::before(api).await;
        let direct = rights::grant(&fixture.kube, &fixture.system).await;
        let operator = fixture.replica().await;
        let through = operator.file("gate.kubeconfig", &gate.kubeconfig(api, &direct));
        fixture.operator = operator.kubernetes(&through, &fixture.system);
        fixture.operator.start().await;
        (fixture, gate)
    }

    /// Changes behind the operator's back.
    async fn change_unseen(&self) {
        self.delete(&self.component("gone", &host("one"))).await;
        self.apply(&self.component("changed", &host("two"))).await;
        self.apply(&self.component("new", &host("one"))).await;
    }
}

/// What the sidecar is told after that: of each change once, and of nothing else.
async fn is_told_what_changed(
    fixture: &Fixture,
    events: &mut tonic::Streaming<proto::ComponentUpdateEvent>,
) {
    let mut told = Vec::new();
    for _ in 0..3 {
        let (event, component) = next(events).await;
        told.push((event.as_str_name(), name(&component)));
    }
    told.sort();
    let expected = [
        ("CREATED", "new"),
        ("DELETED", "gone"),
        ("UPDATED", "changed"),
    ];
    assert_eq!(told, expected.map(|(event, name)| (event, name.to_owned())));
    fixture
        .apply(&fixture.component("last", &host("one")))
        .await;
    assert_eq!(name(&next(events).await.1), "last", "nothing in between");
    let cart = fixture.sidecar("cart");
    assert_eq!(cart.names().await, ["changed", "last", "new", "same"]);
}

#[tokio::test]
async fn watches_that_were_cut_go_on_where_they_were() {
    let api = ApiServer::shared().await;
    let (fixture, gate) = Fixture::behind_a_gate(api).await;
    let cart = fixture.sidecar("cart");
    let mut events = cart.component_events().await;
    gate.shut();
    fixture.change_unseen().await;
    assert_eq!(
        cart.names().await,
        ["changed", "gone", "same"],
        "what is known stays in service"
    );
    gate.open();
    is_told_what_changed(&fixture, &mut events).await;
}

#[tokio::test]
async fn after_a_restart_of_the_api_server_that_forgot_where_watches_were_all_is_listed_anew() {
    let mut api = ApiServer::start().await;
    let (fixture, gate) = Fixture::behind_a_gate(&api).await;
    let mut events = fixture.sidecar("cart").component_events().await;
    gate.shut();
    fixture.change_unseen().await;
    // It remembers no change from before its start: whoever was not there is told that what it knows is gone (410).
    api.restart().await;
    gate.open();
    is_told_what_changed(&fixture, &mut events).await;
    let log = fixture.operator.log();
    log.wait_for("too old resource version").await;
}

#[tokio::test]
async fn kinds_that_are_defined_later_are_served_from_then_on() {
    let api = ApiServer::start().await;
    let mut fixture = Fixture::prepare_with(&api, &["configuration"]).await;
    fixture.start_sentry().await;
    fixture.configure().await;
    fixture.operator.launch();
    let log = fixture.operator.log();
    log.wait_for("cannot list components").await;
    assert!(!fixture.operator.is_healthy().await, "it waits for them");
    fixture.define(&["components"]).await;
    fixture.operator.healthy().await;

    let cart = fixture.sidecar("cart");
    let request = proto::McpServerUpdateRequest {
        namespace: fixture.shop.clone(),
    };
    let stream = cart.client.clone().mcp_server_update(request).await;
    let mut events = stream.expect("opens").into_inner();
    fixture.define(&["mcpservers"]).await;
    let server = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "MCPServer",
        "metadata": {"name": "one", "namespace": fixture.shop},
        "spec": {"endpoint": {"sse": {"url": "https://mcp"}}},
    });
    fixture.eventually_applied(&server).await;
    let event = message(&mut events).await;
    assert_eq!(event.r#type(), Event::Created);
    assert_eq!(name(&decode(&event.mcp_server)), "one");
    assert_eq!(DEFINITIONS.len(), 7, "the others are still missing");
}

#[tokio::test]
async fn when_the_leader_is_killed_another_replica_does_its_work() {
    let mut fixture = Fixture::start().await;
    let leads = async |operator: &trilby_testkit::services::Operator| {
        let metrics = operator.metrics().await;
        metrics.contains("dapr_operator_leader 1")
    };
    assert_eventually!(leads(&fixture.operator).await);
    let mut second = fixture.replica().await;
    second.start().await;
    fixture.operator.kill().await;
    // The lease of a leader that says nothing any more has to run out first.
    assert_eventually!(leads(&second).await);
    std::mem::swap(&mut fixture.operator, &mut second);
    let cart = fixture.sidecar("cart");
    let mut events = cart.component_events().await;
    fixture
        .apply(&fixture.component("store", &host("one")))
        .await;
    assert_eq!(next(&mut events).await.0, Event::Created);
    let component = async || {
        fixture
            .kube
            .get_json(&fixture.shop, "component/store")
            .await
    };
    assert_eventually!(component().await["status"]["conditions"][0]["status"] == "True");
}

#[tokio::test]
async fn a_password_that_cannot_be_read_any_more_stays_as_it_was() {
    let fixture = Fixture::start().await;
    let cart = fixture.sidecar("cart");
    let secret = fixture.secret("redis", "one");
    fixture.apply(&secret).await;
    let password =
        json!([{"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "password"}}]);
    fixture.apply(&fixture.component("store", &password)).await;
    assert_eventually!(cart.names().await == ["store"]);
    let told = cart.list().await;
    assert_eq!(value(&told[0]), "b25l");
    let mut events = cart.component_events().await;

    let log = fixture.operator.log();
    fixture.delete(&secret).await;
    log.wait_for("secret cannot be read").await;
    assert_eq!(cart.list().await, told, "the Secret is gone");

    let position = log.position();
    rights::without_secrets(&fixture.kube, &fixture.system).await;
    let line = log.wait_for_after(position, "secret cannot be read").await;
    assert!(line.contains("forbidden"), "{line}");
    assert_eq!(cart.list().await, told, "it may not be read");

    rights::grant(&fixture.kube, &fixture.system).await;
    fixture.apply(&fixture.secret("redis", "two")).await;
    let (event, healed) = next(&mut events).await;
    assert_eq!((event, value(&healed)), (Event::Updated, &json!("dHdv")));
}

/// More than a client of these tests lets the operator be ahead (1 MiB), in changes of 200 KiB each.
const CHANGES: usize = 16;

#[tokio::test]
async fn a_sidecar_that_does_not_read_costs_itself_only() {
    let fixture = Fixture::start().await;
    let (slow, quick) = (fixture.sidecar("slow"), fixture.sidecar("quick"));
    let mut unread = slow.component_events().await;
    let mut read = quick.component_events().await;
    let padding = "x".repeat(100_000);
    for change in 0..CHANGES {
        let text = format!("{change}{padding}");
        fixture
            .apply(&fixture.component("store", &host(&text)))
            .await;
        let (_, component) = next(&mut read).await;
        assert_eq!(value(&component), &text, "in time and in order");
    }
    let last = format!("{}{padding}", CHANGES - 1);
    let mut told = 0;
    loop {
        let (_, component) = next(&mut unread).await;
        told += 1;
        if value(&component) == &last {
            break;
        }
    }
    assert!(told < CHANGES, "what it missed was told once: {told}");
    assert_listed(&slow, &last).await;
}

async fn assert_listed(sidecar: &Sidecar, expected: &str) {
    assert_eq!(value(&sidecar.list().await[0]), expected);
}
