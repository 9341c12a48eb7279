use serde_json::{Value, json};

use super::{component, redis};
use crate::validation::{Facts, Strictness, answer_without_facts, findings};

fn review(object: &Value, old: &Value) -> Vec<u8> {
    let request = json!({"uid": "u", "namespace": "shop", "object": object, "oldObject": old,
                         "kind": {"group": "dapr.io", "version": "v1alpha1", "kind": "Component"}});
    let review =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    review.to_string().into_bytes()
}

fn response(body: &[u8], strictness: Strictness) -> Value {
    let answer = answer_without_facts(body, strictness).expect("a review");
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], "u");
    answer["response"].clone()
}

#[test]
fn findings_are_warnings_unless_strictness_is_asked_for() {
    let body = review(
        &redis(json!([{"name": "redisPasword", "value": "x"}])),
        &Value::Null,
    );
    let warned = response(&body, Strictness::Warn);
    assert_eq!(warned["allowed"], true);
    assert_eq!(warned["warnings"].as_array().map(Vec::len), Some(1));
    let refused = response(&body, Strictness::Strict);
    assert_eq!(refused["allowed"], false);
    let message = refused["status"]["message"].as_str().unwrap();
    assert!(message.contains("did you mean redisPassword?"), "{message}");
    assert!(refused["warnings"].is_null());
}

#[test]
fn what_may_be_well_is_not_refused() {
    let body = review(&component("state.mine", json!([])), &Value::Null);
    let response = response(&body, Strictness::Strict);
    assert_eq!(response["allowed"], true);
    assert_eq!(response["warnings"].as_array().map(Vec::len), Some(1));
}

#[test]
fn who_changes_nothing_or_deletes_is_left_alone() {
    let bad = component("state.redis", json!([]));
    let mut labelled = bad.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let mut deleted = component("state.redis", json!(null));
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    for (object, old) in [(&labelled, &bad), (&deleted, &bad), (&Value::Null, &bad)] {
        let response = response(&review(object, old), Strictness::Strict);
        assert_eq!(response["allowed"], true, "{object}");
        assert!(response["warnings"].is_null(), "{object}");
    }
    let changed = response(
        &review(&component("state.redis", json!(null)), &bad),
        Strictness::Strict,
    );
    assert_eq!(changed["allowed"], false);
}

#[test]
fn what_is_no_review_has_no_answer_and_other_kinds_are_allowed() {
    for body in ["", "{}", "[]", "null", r#"{"request": 1}"#] {
        assert_eq!(
            answer_without_facts(body.as_bytes(), Strictness::Strict),
            None,
            "{body}"
        );
    }
    let foreign = json!({"apiVersion": "admission.k8s.io/v1", "request": {"uid": "u", "object": {},
                         "kind": {"group": "", "version": "v1", "kind": "Pod"}}});
    let response = response(foreign.to_string().as_bytes(), Strictness::Strict);
    assert_eq!(response["allowed"], true);
    assert_eq!(findings("Pod", &json!({}), &Facts::default()), None);
}

#[test]
fn thousands_of_mistakes_are_counted() {
    let settings: Vec<Value> = (0..5000)
        .map(|n| json!({"name": format!("redisHos{n}"), "value": "x"}))
        .collect();
    let object = redis(settings.into());
    let warned = response(&review(&object, &Value::Null), Strictness::Warn);
    let warnings: Vec<&str> = warned["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(warnings.iter().all(|warning| warning.len() <= 256));
    assert!(warnings.iter().map(|warning| warning.len()).sum::<usize>() <= 4096);
    assert!(warnings.last().unwrap().ends_with("more"));
}
