use kube_core::Resource as _;
use serde_json::json;

use super::*;

fn component(value: serde_json::Value) -> Component {
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_is_absent_takes_its_zero_value() {
    assert_eq!(component(json!({})), Component::default());
    assert_eq!(
        component(json!({"metadata": {"name": "a"}})),
        Component::new("a", ComponentSpec::default())
    );
}

#[test]
fn null_is_the_zero_value_as_upstream_writes_it() {
    let decoded = component(json!({
        "spec": {"type": "state.in-memory", "version": "v1", "metadata": null, "initTimeout": "", "ignoreErrors": false},
        "auth": {"secretStore": ""},
        "scopes": null,
    }));
    assert!(decoded.spec.metadata.is_empty());
    assert_eq!(decoded.spec.init_timeout, None);
    assert_eq!(decoded.secret_store(), "");
    assert!(decoded.in_scope_of("any"));
}

#[test]
fn required_fields_are_written_even_when_empty() {
    assert_eq!(
        serde_json::to_value(Component::default()).unwrap(),
        json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": {},
            "spec": {"type": "", "version": "", "metadata": []},
        })
    );
}

#[test]
fn a_full_component_survives_a_round_trip() {
    let written = json!({
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "statestore", "namespace": "prod"},
        "spec": {
            "type": "state.redis",
            "version": "v1",
            "ignoreErrors": true,
            "initTimeout": "30s",
            "metadata": [
                {"name": "redisHost", "value": "redis:6379"},
                {"name": "redisDB", "value": 3},
                {"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "password"}},
                {"name": "clientCert", "envRef": "CERT"},
            ],
        },
        "auth": {"secretStore": "vault"},
        "scopes": ["a", "b"],
    });
    assert_eq!(
        serde_json::to_value(component(written.clone())).unwrap(),
        written
    );
}

#[test]
fn only_listed_apps_are_in_scope() {
    let scoped = component(json!({"scopes": ["a"]}));
    assert!(scoped.in_scope_of("a"));
    assert!(!scoped.in_scope_of("b"));
}

#[test]
fn a_field_of_the_wrong_type_is_an_error_that_says_so() {
    let error = serde_json::from_value::<Component>(json!({"spec": {"type": 3}})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid type: integer `3`, expected a string"
    );
}

#[test]
fn the_api_server_serves_it_under_its_plural() {
    assert_eq!(
        Component::url_path(&(), Some("prod")),
        "/apis/dapr.io/v1alpha1/namespaces/prod/components"
    );
}
