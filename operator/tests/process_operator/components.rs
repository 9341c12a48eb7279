use serde_json::{Value, json};
use tonic::Code;
use trilby_proto::operator::v1::{ResourceEventType as Event, operator_client::OperatorClient};
use trilby_testkit::{ApiServer, assert_eventually};

use crate::fixture::{Fixture, connect, definition_without_schema, end, name, next, value};

/// Settings with one password, in the Secret of that name.
fn password_in(secret: &str) -> Value {
    json!([{"name": "redisPassword", "secretKeyRef": {"name": secret, "key": "password"}}])
}

#[tokio::test]
async fn a_component_and_its_changes_reach_the_sidecars_that_may_see_it() {
    let fixture = Fixture::start().await;
    let (cart, other) = (fixture.sidecar("cart"), fixture.sidecar("other"));
    let mut events = cart.component_events().await;
    let mut other_events = other.component_events().await;

    let mut component = fixture.component("store", &json!([{"name": "host", "value": "r1"}]));
    component["scopes"] = json!(["cart"]);
    fixture.apply(&component).await;
    let (event, created) = next(&mut events).await;
    assert_eq!((event, value(&created)), (Event::Created, &json!("r1")));
    assert_eq!(
        cart.list().await,
        [created],
        "one text for lists and streams"
    );
    assert!(other.list().await.is_empty());

    component["spec"]["metadata"][0]["value"] = json!("r2");
    fixture.apply(&component).await;
    let (event, updated) = next(&mut events).await;
    assert_eq!((event, value(&updated)), (Event::Updated, &json!("r2")));

    component["scopes"] = json!(["other"]);
    fixture.apply(&component).await;
    let (event, last) = next(&mut events).await;
    assert_eq!((event, value(&last)), (Event::Deleted, &json!("r2")));
    let (event, first) = next(&mut other_events).await;
    assert_eq!((event, name(&first)), (Event::Created, "store".into()));

    fixture.delete(&component).await;
    assert_eq!(next(&mut other_events).await.0, Event::Deleted);
    assert_eventually!(other.list().await.is_empty());
}

#[tokio::test]
async fn a_password_comes_out_of_its_secret_and_a_new_one_follows() {
    let fixture = Fixture::start().await;
    let cart = fixture.sidecar("cart");
    fixture.apply(&fixture.secret("redis", "one")).await;
    let mut events = cart.component_events().await;
    fixture
        .apply(&fixture.component("store", &password_in("redis")))
        .await;
    let (event, created) = next(&mut events).await;
    assert_eq!((event, value(&created)), (Event::Created, &json!("b25l")));

    // Nothing but the Secret changes.
    fixture.apply(&fixture.secret("redis", "two")).await;
    let (event, updated) = next(&mut events).await;
    assert_eq!((event, value(&updated)), (Event::Updated, &json!("dHdv")));
    assert_eq!(cart.list().await, [updated]);
}

#[tokio::test]
async fn a_missing_secret_affects_its_own_component_only_and_is_named_in_the_log() {
    let fixture = Fixture::start().await;
    let cart = fixture.sidecar("cart");
    fixture
        .apply(&fixture.component("broken", &password_in("absent")))
        .await;
    fixture.apply(&fixture.component("whole", &json!([]))).await;
    assert_eventually!(cart.names().await == ["broken", "whole"]);
    let broken = cart.list().await.remove(0);
    assert_eq!(value(&broken), &Value::Null);
    assert_eq!(
        broken["spec"]["metadata"][0]["secretKeyRef"]["name"],
        "absent"
    );
    let line = fixture
        .operator
        .log()
        .wait_for("secret cannot be read")
        .await;
    assert!(
        line.contains(r#"Secret \"absent\" not found"#) && line.contains("Component broken"),
        "{line}"
    );
    let metrics = fixture.operator.metrics().await;
    assert!(
        metrics.contains("dapr_operator_unresolved_secrets 1"),
        "{metrics}"
    );

    let mut events = cart.component_events().await;
    fixture.apply(&fixture.secret("absent", "one")).await;
    let (event, repaired) = next(&mut events).await;
    assert_eq!((event, value(&repaired)), (Event::Updated, &json!("b25l")));
}

#[tokio::test]
async fn a_namespace_is_shown_to_its_own_sidecars_only() {
    let fixture = Fixture::start().await;
    let stranger = fixture.sidecar_as("spiffe://public/ns/elsewhere/cart");
    let refused = stranger.try_list().await.expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        format!(
            "identity does not match requested namespace exp={} got=elsewhere",
            fixture.shop
        )
    );
    assert!(
        fixture
            .sidecar_as(&format!("spiffe://any.domain/ns/{}/cart", fixture.shop))
            .try_list()
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn without_a_certificate_of_this_control_plane_nobody_gets_an_answer() {
    let fixture = Fixture::start().await;
    let mut plain = fixture.sidecar("cart");
    plain.client = OperatorClient::new(connect(fixture.operator.grpc_address(), None));
    plain.try_list().await.expect_err("refused");
    fixture
        .operator
        .log()
        .wait_for("TLS handshake refused")
        .await;

    let id = format!("spiffe://public/ns/{}/cart", fixture.shop);
    let foreign = crate::authority::Authority::new().identity(&id);
    let tls = foreign.client_tls(trilby_identity::Expect::Any);
    let mut forged = fixture.sidecar("cart");
    forged.client = OperatorClient::new(connect(fixture.operator.grpc_address(), Some(tls)));
    let position = fixture.operator.log().position();
    forged.try_list().await.expect_err("refused");
    let log = fixture.operator.log();
    log.wait_for_after(position, "TLS handshake refused").await;
}

#[tokio::test]
async fn a_restart_ends_streams_so_that_sidecars_come_back_and_go_on() {
    let mut fixture = Fixture::start().await;
    let cart = fixture.sidecar("cart");
    fixture.apply(&fixture.component("store", &json!([]))).await;
    assert_eventually!(cart.names().await == ["store"]);
    let mut events = cart.component_events().await;

    assert!(fixture.operator.stop().await.success());
    let status = end(&mut events).await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(status.message(), "operator is shutting down");

    fixture.operator.start().await;
    assert_eventually!(cart.try_list().await.is_ok());
    assert_eq!(cart.names().await, ["store"]);
    let mut events = cart.component_events().await;
    fixture
        .apply(&fixture.component("second", &json!([])))
        .await;
    let (event, second) = next(&mut events).await;
    assert_eq!(
        (event, name(&second)),
        (Event::Created, "second".into()),
        "nothing is replayed"
    );
}

#[tokio::test]
async fn an_undecodable_object_is_named_and_skipped() {
    // Alone, because its definition of a component lets anything pass.
    let api = ApiServer::start().await;
    let mut fixture = Fixture::prepare(&api).await;
    fixture.apply(&definition_without_schema()).await;
    fixture.start_sentry().await;
    fixture.configure().await;
    let mut broken = fixture.component("broken", &json!([]));
    broken["spec"]["metadata"] = json!("not a list");
    fixture.eventually_applied(&broken).await;
    fixture.apply(&fixture.component("whole", &json!([]))).await;
    fixture.operator.start().await;

    let cart = fixture.sidecar("cart");
    assert_eq!(cart.names().await, ["whole"]);
    let line = fixture.operator.log().wait_for("cannot be decoded").await;
    assert!(
        line.contains(&format!("resource={}/broken", fixture.shop)),
        "{line}"
    );
    let mut events = cart.component_events().await;
    broken["spec"]["metadata"] = json!([]);
    fixture.apply(&broken).await;
    let (event, repaired) = next(&mut events).await;
    assert_eq!((event, name(&repaired)), (Event::Created, "broken".into()));
    let metrics = fixture.operator.metrics().await;
    let counted = "dapr_operator_undecodable_objects_total{kind=\"Component\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}
