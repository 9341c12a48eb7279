use serde_json::{Value, from_slice, json, to_value};

use super::*;

const V1: &str = "dapr.io/v1alpha1";
const V2: &str = "dapr.io/v2alpha1";

fn older() -> Value {
    json!({
        "apiVersion": V1, "kind": "Subscription",
        "metadata": {"name": "orders", "labels": {"a": "b"}, "uid": "1"},
        "spec": {
            "pubsubname": "bus", "topic": "orders", "route": "/o",
            "metadata": {"rawPayload": "true"}, "deadLetterTopic": "dead",
            "bulkSubscribe": {"enabled": true, "maxMessagesCount": 10, "maxAwaitDurationMs": 20},
        },
        "scopes": ["a"],
        "status": {"sidecars": "1/1"},
    })
}

fn newer(routes: Value) -> Value {
    let mut object = older();
    object["apiVersion"] = V2.into();
    let spec = object["spec"].as_object_mut().unwrap();
    spec.remove("route");
    spec.insert("routes".to_owned(), routes);
    object
}

fn asked(objects: &[Value], version: &str) -> Value {
    let body = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": {"uid": "u-1", "desiredAPIVersion": version, "objects": objects},
    });
    to_value(review(body.to_string().as_bytes()).unwrap()).unwrap()
}

fn converted(object: &Value, version: &str) -> Value {
    let answer = asked(std::slice::from_ref(object), version);
    assert_eq!(
        answer["response"]["result"]["status"], "Success",
        "{answer}"
    );
    answer["response"]["convertedObjects"][0].clone()
}

#[test]
fn every_field_has_its_place_in_the_other_version() {
    let with_default = newer(json!({"default": "/o"}));
    assert_eq!(converted(&older(), V2), with_default);
    assert_eq!(converted(&with_default, V1), older());
}

#[test]
fn rules_survive_a_client_of_the_older_version() {
    let rules = json!([{"match": "event.type == \"w\"", "path": "/w"}, {"path": "/rest"}]);
    let with_rules = newer(json!({"rules": rules, "default": "/o"}));
    let mut seen = converted(&with_rules, V1);
    assert_eq!(seen["spec"]["route"], "/o");
    assert_eq!(seen["spec"]["routes"], Value::Null);
    seen["spec"]["route"] = "/changed".into();
    let written = converted(&seen, V2);
    assert_eq!(
        written,
        newer(json!({"rules": rules, "default": "/changed"}))
    );
}

#[test]
fn rules_without_a_default_have_an_empty_route() {
    let only_rules = newer(json!({"rules": [{"path": "/w"}]}));
    let seen = converted(&only_rules, V1);
    assert_eq!(seen["spec"]["route"], "");
    assert_eq!(converted(&seen, V2), only_rules);
}

#[test]
fn an_annotation_that_holds_no_rules_is_left_where_it_is() {
    let mut object = older();
    for text in ["", "{", "[1]", "{}"] {
        let annotations = json!({"dapr.io/subscription-rules": text, "mine": "x"});
        object["metadata"]["annotations"] = annotations.clone();
        let seen = converted(&object, V2);
        assert_eq!(seen["metadata"]["annotations"], annotations);
        assert_eq!(seen["spec"]["routes"], json!({"default": "/o"}));
    }
}

#[test]
fn objects_keep_their_order_and_the_request_its_uid() {
    let mut second = older();
    second["metadata"]["name"] = "second".into();
    let answer = asked(&[older(), second], V2);
    assert_eq!(answer["response"]["uid"], "u-1");
    assert_eq!(answer["request"], Value::Null);
    let all = answer["response"]["convertedObjects"].as_array().unwrap();
    let names: Vec<_> = all.iter().map(|one| &one["metadata"]["name"]).collect();
    assert_eq!(names, ["orders", "second"]);
}

#[test]
fn what_is_no_subscription_or_no_version_fails_by_name() {
    let mut component = older();
    component["kind"] = "Component".into();
    let mut foreign = older();
    foreign["apiVersion"] = "example.io/v1alpha1".into();
    for (object, version, reason) in [
        (older(), V1, "asked for in the version that it has"),
        (older(), "dapr.io/v3", "no version dapr.io/v3"),
        (
            component,
            V2,
            "dapr.io/v1alpha1 Component is no Subscription",
        ),
        (
            foreign,
            V2,
            "example.io/v1alpha1 Subscription is no Subscription",
        ),
        (
            json!({"apiVersion": V1, "kind": "Subscription", "spec": 1}),
            V2,
            "spec is no object",
        ),
        (json!(1), V2, "is no Subscription"),
    ] {
        let result = &asked(&[object], version)["response"]["result"];
        assert_eq!(result["status"], "Failure");
        let message = result["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn what_is_no_review_is_a_bad_request() {
    for body in [
        "",
        "{",
        "{}",
        r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview"}"#,
    ] {
        let answer = answer(Request::new(body.into())).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let body = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": {"uid": "u", "desiredAPIVersion": V2, "objects": [older()]},
    });
    let answer = answer(Request::new(body.to_string().into())).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .unwrap();
    let review: Value = from_slice(&body).unwrap();
    assert_eq!(review["kind"], "ConversionReview");
}
