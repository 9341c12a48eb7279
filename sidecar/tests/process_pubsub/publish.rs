//! What is published, and what is refused.

use serde_json::{Value, json};
use tonic::Code;
use trilby_proto::runtime::v1::{BulkPublishRequest, BulkPublishRequestEntry, PublishEventRequest};

use super::app::App;
use super::{broker, client, daprd, folder, publish, publish_json, subscription};

#[tokio::test]
async fn events_arrive_as_cloud_events() {
    let (folder, app) = (folder(), App::new());
    subscription(folder.path(), "orders", "  routes:\n    default: /orders\n");
    let mut daprd = daprd(&folder).app_port(app.serve().await);
    daprd.start().await;
    publish_json(
        &daprd,
        "bus/orders",
        &json!({"id": 9_007_199_254_740_993_u64}),
    )
    .await;
    let got = app.until("/orders", 1).await;
    let event = got[0].json();
    assert_eq!(
        got[0].headers["content-type"],
        "application/cloudevents+json"
    );
    assert_eq!(got[0].headers["pubsubname"], "bus");
    assert_eq!(event["data"]["id"], 9_007_199_254_740_993_u64);
    for (field, value) in [
        ("datacontenttype", "application/json"),
        ("pubsubname", "bus"),
        ("source", "shop"),
        ("specversion", "1.0"),
        ("topic", "orders"),
        ("type", "com.dapr.event.sent"),
    ] {
        assert_eq!(event[field], value, "{field}");
    }
    let answer = publish(&daprd, "bus/orders", ("text/plain", "hello")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(app.until("/orders", 2).await[1].data(), "hello");
    let given =
        json!({"id": "mine", "source": "me", "type": "t", "specversion": "1.0", "data": [1]});
    let kind = "application/cloudevents+json";
    publish(&daprd, "bus/orders", (kind, &given.to_string())).await;
    let event = app.until("/orders", 3).await[2].json();
    assert_eq!(
        (&event["id"], &event["data"]),
        (&json!("mine"), &json!([1]))
    );
    assert_eq!(event["topic"], "orders");
    let overridden = "bus/orders?metadata.cloudevent.id=other&metadata.rawPayload=false";
    publish_json(&daprd, overridden, &json!(1)).await;
    assert_eq!(app.until("/orders", 4).await[3].json()["id"], "other");
}

#[tokio::test]
async fn several_messages_are_published_at_once_over_both_protocols() {
    let (folder, app) = (folder(), App::new());
    subscription(folder.path(), "orders", "  routes:\n    default: /orders\n");
    let mut daprd = daprd(&folder).app_port(app.serve().await);
    daprd.start().await;
    let entries = json!([
        {"entryId": "1", "event": {"a": 1}, "contentType": "application/json"},
        {"entryId": "2", "event": "text", "contentType": "text/plain", "metadata": {"cloudevent.id": "own"}},
    ]);
    let path = "bulk/bus/orders?metadata.cloudevent.source=bulk";
    publish_json(&daprd, path, &entries).await;
    let mut request = BulkPublishRequest {
        pubsub_name: "bus".into(),
        topic: "orders".into(),
        entries: vec![BulkPublishRequestEntry {
            entry_id: "3".into(),
            event: "over gRPC".into(),
            content_type: "text/plain".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut client = client(&daprd).await;
    let answer = client.bulk_publish_event(request.clone()).await.unwrap();
    assert!(answer.into_inner().failed_entries.is_empty());
    let got = app.until("/orders", 3).await;
    let events: Vec<Value> = got.iter().map(super::app::Got::json).collect();
    let find = |data: &Value| events.iter().find(|event| event["data"] == *data).unwrap();
    assert_eq!(
        find(&json!({"a": 1}))["source"],
        "bulk",
        "also without metadata of its own"
    );
    assert_eq!(find(&json!("text"))["id"], "own");
    assert_eq!(find(&json!("text"))["source"], "bulk");
    find(&json!("over gRPC"));
    request.entries[0].entry_id.clear();
    let refused = client.bulk_publish_event(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let twice = json!([{"entryId": "1", "event": 1, "contentType": "application/json"},
        {"entryId": "1", "event": 2, "contentType": "application/json"}]);
    let kind = "application/json";
    let answer = publish(&daprd, "bulk/bus/orders", (kind, &twice.to_string())).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errorCode"], "ERR_PUBSUB_EVENTS_SER");
}

#[tokio::test]
async fn what_cannot_be_published_says_why() {
    let folder = folder();
    broker(
        folder.path(),
        &[
            ("allowedTopics", "a,b,c"),
            ("protectedTopics", "b"),
            ("publishingScopes", "other=b"),
        ],
    );
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let kind = "application/json";
    for (path, status, code) in [
        ("none/a", 404, "ERR_PUBSUB_NOT_FOUND"),
        ("bus/b", 403, "ERR_PUBSUB_FORBIDDEN"),
        ("bus/d", 403, "ERR_PUBSUB_FORBIDDEN"),
        (
            "bus/a?metadata.rawPayload=maybe",
            400,
            "ERR_PUBSUB_REQUEST_METADATA",
        ),
        ("bulk/bus/b", 403, "ERR_PUBSUB_FORBIDDEN"),
    ] {
        let answer = publish(&daprd, path, (kind, "[]")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.json()["errorCode"], code, "{path}");
    }
    let kind = "application/cloudevents+json";
    let answer = publish(&daprd, "bus/a", (kind, "no event")).await;
    assert_eq!(answer.json()["errorCode"], "ERR_PUBSUB_CLOUD_EVENTS_SER");
    let request = |pubsub: &str, topic: &str| PublishEventRequest {
        pubsub_name: pubsub.into(),
        topic: topic.into(),
        ..Default::default()
    };
    let mut client = client(&daprd).await;
    for (pubsub, topic, code) in [
        ("", "a", Code::InvalidArgument),
        ("none", "a", Code::InvalidArgument),
        ("bus", "", Code::InvalidArgument),
        ("bus", "d", Code::PermissionDenied),
    ] {
        let refused = client.publish_event(request(pubsub, topic)).await;
        assert_eq!(refused.unwrap_err().code(), code, "{pubsub:?} {topic:?}");
    }
    client.publish_event(request("bus", "a")).await.unwrap();
}
