//! What becomes of messages.

use http::StatusCode;
use serde_json::{Value, json};
use trilby_testkit::assert_eventually;
use trilby_testkit::http::Client;

use super::app::App;
use super::{daprd, folder, publish_json, resource, subscription};

fn status(status: &str) -> (StatusCode, String) {
    (StatusCode::OK, json!({ "status": status }).to_string())
}

#[tokio::test]
async fn rules_choose_the_path() {
    let (folder, app) = (folder(), App::new());
    subscription(
        folder.path(),
        "orders",
        "  routes:\n    rules:\n      - match: event.type == 'vip'\n        path: /vip\n      - match: \
         event.data.total > 100\n        path: /large\n    default: /rest\n",
    );
    subscription(
        folder.path(),
        "strict",
        "  deadLetterTopic: dead\n  routes:\n    rules:\n      - match: event.type == 'x'\n        path: /x\n",
    );
    subscription(folder.path(), "dead", "  routes:\n    default: /dead\n");
    let mut daprd = daprd(&folder).app_port(app.serve().await);
    daprd.start().await;
    let vip = "bus/orders?metadata.cloudevent.type=vip";
    publish_json(&daprd, vip, &json!({"total": 200})).await;
    publish_json(&daprd, "bus/orders", &json!({"total": 200})).await;
    publish_json(&daprd, "bus/orders", &json!({"total": 20})).await;
    for (path, total) in [("/vip", 200), ("/large", 200), ("/rest", 20)] {
        assert_eq!(app.until(path, 1).await[0].data()["total"], total, "{path}");
    }
    // No path, or no answer of a rule: the dead-letter topic.
    publish_json(&daprd, "bus/strict", &json!("nobody's")).await;
    assert_eq!(app.until("/dead", 1).await[0].data(), "nobody's");
}

#[tokio::test]
async fn what_is_not_taken_comes_again_and_what_is_dropped_is_a_dead_letter() {
    let (folder, app) = (folder(), App::new());
    let spec = "  deadLetterTopic: dead\n  routes:\n    default: /orders\n";
    subscription(folder.path(), "orders", spec);
    subscription(folder.path(), "plain", "  routes:\n    default: /plain\n");
    subscription(folder.path(), "dead", "  routes:\n    default: /dead\n");
    app.answer(|got| match (got.path.as_str(), got.data()) {
        ("/orders", Value::String(data)) if data == "drop" => status("DROP"),
        ("/orders", Value::String(data)) if data == "gone" => {
            (StatusCode::NOT_FOUND, String::new())
        }
        ("/orders", Value::String(data)) if data == "fail" => status("RETRY"),
        ("/plain", Value::String(data)) if data == "drop" => status("DROP"),
        _ => (StatusCode::OK, String::new()),
    });
    let mut daprd = daprd(&folder).app_port(app.serve().await);
    daprd.start().await;
    for data in ["drop", "gone", "fail", "fine"] {
        publish_json(&daprd, "bus/orders", &json!(data)).await;
    }
    assert_eventually!(app.at("/orders").len() >= 4);
    let dead = app.until("/dead", 3).await;
    let mut dead: Vec<Value> = dead.iter().map(super::app::Got::data).collect();
    dead.sort_by_key(ToString::to_string);
    assert_eq!(dead, ["drop", "fail", "gone"]);
    publish_json(&daprd, "bus/plain", &json!("drop")).await;
    publish_json(&daprd, "bus/plain", &json!("next")).await;
    assert_eq!(app.until("/plain", 2).await[1].data(), "next");
    let metrics = daprd.metrics().await;
    for series in [
        r#"dapr_component_pubsub_egress_count{"#,
        r#"process_status="drop",status="success",topic="orders""#,
        r#"process_status="success",status="",topic="dead""#,
    ] {
        assert!(metrics.contains(series), "{series}");
    }
}

#[tokio::test]
async fn a_policy_retries_inbound() {
    let (folder, app) = (folder(), App::new());
    let spec = "  deadLetterTopic: dead\n  routes:\n    default: /orders\n";
    subscription(folder.path(), "orders", spec);
    subscription(folder.path(), "dead", "  routes:\n    default: /dead\n");
    resource(
        folder.path(),
        "resiliency",
        "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: r\nspec:\n  policies:\n    retries:\n      \
         again:\n        policy: constant\n        duration: 10ms\n        maxRetries: 4\n  targets:\n    components:\n      \
         bus:\n        inbound:\n          retry: again\n",
    );
    app.answer(|got| match got.path.as_str() {
        "/orders" => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        _ => (StatusCode::OK, String::new()),
    });
    let mut daprd = daprd(&folder).app_port(app.serve().await);
    daprd.start().await;
    publish_json(&daprd, "bus/orders", &json!("stubborn")).await;
    assert_eq!(app.until("/dead", 1).await[0].data(), "stubborn");
    app.until("/orders", 5).await;
}

/// An application that takes every message of every batch.
fn taking_batches(app: &App) {
    app.answer(|got| {
        if got.path != "/bulk" {
            return (StatusCode::OK, String::new());
        }
        let body = got.json();
        let statuses = body["entries"].as_array().unwrap().iter();
        let statuses =
            statuses.map(|entry| json!({"entryId": entry["entryId"], "status": "SUCCESS"}));
        let statuses: Vec<Value> = statuses.collect();
        (StatusCode::OK, json!({ "statuses": statuses }).to_string())
    });
}

#[tokio::test]
async fn an_application_says_what_it_subscribes_to_and_gets_batches() {
    let folder = folder();
    subscription(
        folder.path(),
        "orders",
        "  routes:\n    default: /declared\n",
    );
    let app = App::new().subscribing(&json!([
        {"pubsubname": "bus", "topic": "orders", "route": "/programmatic"},
        {"pubsubname": "bus", "topic": "bulk", "route": "/bulk",
            "bulkSubscribe": {"enabled": true, "maxMessagesCount": 10, "maxAwaitDurationMs": 100}},
        {"pubsubname": "bus", "topic": "lost"},
    ]));
    taking_batches(&app);
    let mut daprd = daprd(&folder).app_port(app.serve().await);
    daprd.start().await;
    publish_json(&daprd, "bus/orders", &json!(1)).await;
    app.until("/programmatic", 1).await;
    assert!(
        app.at("/declared").is_empty(),
        "the application's word counts"
    );
    for number in 0..25 {
        publish_json(&daprd, "bus/bulk", &json!(number)).await;
    }
    let entries = || -> Vec<Value> {
        let got = app.at("/bulk");
        let entries = got
            .iter()
            .flat_map(|got| got.json()["entries"].as_array().unwrap().clone());
        entries
            .map(|entry| entry["event"]["data"].clone())
            .collect()
    };
    assert_eventually!(entries().len() >= 25);
    assert_eq!(entries(), (0..25).map(Value::from).collect::<Vec<_>>());
    let shown = Client::host()
        .get(&daprd.url("/v1.0/metadata"))
        .await
        .unwrap()
        .json();
    let origins: Vec<(&str, &str)> = shown["subscriptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["topic"].as_str().unwrap(),
                one["type"].as_str().unwrap(),
            )
        })
        .collect();
    let wanted = [
        ("orders", "DECLARATIVE"),
        ("orders", "PROGRAMMATIC"),
        ("bulk", "PROGRAMMATIC"),
    ];
    assert_eq!(origins, wanted);
}
