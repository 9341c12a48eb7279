use serde_json::{Value, json};

use super::{Document, Kind, Resource, SecretRef, SecretValue};

fn document(text: &str) -> Document {
    serde_json::from_str(text).unwrap()
}

fn decode(kind: Kind, object: &Value) -> Resource {
    Resource::decode(kind, document(&object.to_string())).unwrap()
}

fn no_secrets(_: &SecretRef) -> SecretValue<'static> {
    SecretValue::NoSecret
}

/// One Secret `redis` with the keys `redis` and `password`.
fn redis_secret(reference: &SecretRef) -> SecretValue<'static> {
    match (&*reference.secret, &*reference.key) {
        ("redis", "redis") => SecretValue::Found(b"own"),
        ("redis", "password") => SecretValue::Found(b"p\xffss"),
        ("redis", _) => SecretValue::NoKey,
        _ => SecretValue::NoSecret,
    }
}

fn rendered(resource: &Resource) -> Value {
    serde_json::from_slice(&resource.render(&redis_secret)).unwrap()
}

#[test]
fn a_components_zero_values_are_those_of_upstream() {
    let component = decode(
        Kind::Component,
        &json!({"metadata": {"name": "store", "namespace": "shop"},
                "spec": {"type": "state.redis", "version": "v1", "metadata": [{"name": "host", "value": "r"}]}}),
    );
    assert_eq!(
        rendered(&component),
        json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": "store", "namespace": "shop"},
            "spec": {
                "type": "state.redis",
                "version": "v1",
                "ignoreErrors": false,
                "initTimeout": "",
                "metadata": [{"name": "host", "value": "r", "secretKeyRef": {"name": "", "key": ""}}],
            },
            "auth": {"secretStore": ""},
        })
    );
}

#[test]
fn a_component_without_metadata_says_null_as_upstream_does() {
    let component = decode(
        Kind::Component,
        &json!({"spec": {"type": "state.in-memory"}}),
    );
    assert_eq!(rendered(&component)["spec"]["metadata"], Value::Null);
}

#[test]
fn what_a_user_wrote_goes_out_to_the_byte() {
    let text = concat!(
        r#"{"kind":"Component","metadata":{"name":"a","namespace":"b","managedFields":[{"z":1,"a":2}]},"#,
        r#""spec":{"type":"x","metadata":[{"name":"n","value":{"z":1.0e5,"a":12345678901234567890,"s":"a/b\u003c"}}]}}"#
    );
    let component = Resource::decode(Kind::Component, document(text)).unwrap();
    let json = component.render(&no_secrets);
    let json = std::str::from_utf8(&json).unwrap();
    for part in [
        r#"{"z":1.0e5,"a":12345678901234567890,"s":"a/b\u003c"}"#,
        r#""managedFields":[{"z":1,"a":2}]"#,
    ] {
        assert!(json.contains(part), "{json}");
    }
    assert_eq!(json, component.render(&no_secrets), "one object, one text");
}

#[test]
fn a_components_secrets_go_out_in_base64_and_their_reference_stays() {
    let component = decode(
        Kind::Component,
        &json!({"spec": {"metadata": [
            {"name": "password", "secretKeyRef": {"name": "redis", "key": "password"}},
            {"name": "user", "secretKeyRef": {"name": "redis"}},
            {"name": "other", "value": "kept", "secretKeyRef": {"name": "redis", "key": "none"}},
            {"name": "gone", "value": "old", "secretKeyRef": {"name": "absent", "key": "k"}},
        ]}}),
    );
    let wanted: Vec<_> = component
        .secrets
        .iter()
        .map(|reference| format!("{}/{}", reference.secret, reference.key))
        .collect();
    assert_eq!(
        wanted,
        ["redis/password", "redis/redis", "redis/none", "absent/k"]
    );
    let metadata = &rendered(&component)["spec"]["metadata"];
    assert_eq!(metadata[0]["value"], "cP9zcw==");
    assert_eq!(
        metadata[0]["secretKeyRef"],
        json!({"name": "redis", "key": "password"})
    );
    assert_eq!(metadata[1]["value"], "b3du");
    assert_eq!(metadata[2]["value"], "kept");
    assert_eq!(metadata[3]["value"], Value::Null);
}

#[test]
fn another_secret_store_is_left_to_the_sidecar() {
    let component = decode(
        Kind::Component,
        &json!({"auth": {"secretStore": "vault"},
                "spec": {"metadata": [{"name": "p", "secretKeyRef": {"name": "redis", "key": "password"}}]}}),
    );
    assert!(component.secrets.is_empty());
    assert_eq!(
        rendered(&component)["spec"]["metadata"][0]["value"],
        Value::Null
    );
}

#[test]
fn a_configuration_goes_out_as_it_came() {
    let text = r#"{"apiVersion":"dapr.io/v1alpha1","kind":"Configuration","metadata":{"name":"c"},"spec":{"metric":{"enabled":true}}}"#;
    let configuration = Resource::decode(Kind::Configuration, document(text)).unwrap();
    assert_eq!(configuration.render(&no_secrets), text);
}

#[test]
fn a_trace_headers_secret_goes_out_as_plain_text_and_must_name_its_key() {
    let configuration = decode(
        Kind::Configuration,
        &json!({"spec": {"tracing": {"otel": {"headers": [
            {"name": "a", "secretKeyRef": {"name": "redis", "key": "redis"}},
            {"name": "b", "secretKeyRef": {"name": "redis"}},
            {"name": "c", "value": "v"},
        ]}}}}),
    );
    assert_eq!(configuration.secrets.len(), 1);
    let headers = &rendered(&configuration)["spec"]["tracing"]["otel"]["headers"];
    assert_eq!(headers[0]["value"], "own");
    assert_eq!(headers[1]["value"], Value::Null);
    assert_eq!(headers[2]["value"], "v");
}

#[test]
fn an_object_of_another_shape_is_refused_with_the_reason() {
    let broken = document(r#"{"metadata":{"name":"bad"},"spec":{"type":3}}"#);
    let error = Resource::decode(Kind::Component, broken)
        .map(|_| ())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("invalid type: integer `3`, expected a string"),
        "{error}"
    );
    let broken = document(r#"{"metadata":{"name":"bad"},"spec":{"metadata":"none"}}"#);
    assert!(Resource::decode(Kind::Component, broken).is_err());
}

#[test]
fn debug_output_shows_no_value() {
    let text = r#"{"metadata":{"name":"a","namespace":"b"},"spec":{"metadata":[{"name":"p","value":"s3cret"}]}}"#;
    assert!(!format!("{:?}", document(text)).contains("s3cret"));
    let data = super::SecretData::keep([("k".to_owned(), b"s3cret".to_vec())], |_| true);
    assert_eq!(format!("{data:?}"), r#"{"k"}"#);
}

#[test]
fn an_endpoints_headers_and_documents_are_filled_in() {
    let reference = json!({"name": "redis", "key": "password"});
    let endpoint = decode(
        Kind::HttpEndpoint,
        &json!({"spec": {
            "baseUrl": "https://x",
            "headers": [{"name": "a", "secretKeyRef": reference}, {"name": "b", "value": "v"}],
            "clientTLS": {"rootCA": {"value": "PEM"}, "certificate": {"secretKeyRef": reference},
                          "privateKey": {"value": "old", "secretKeyRef": {"name": "redis", "key": "none"}}},
        }, "scopes": ["cart"]}),
    );
    assert_eq!((endpoint.secrets.len(), &*endpoint.scopes[0]), (3, "cart"));
    let json = rendered(&endpoint);
    assert_eq!(json["kind"], "HTTPEndpoint");
    assert_eq!(json["spec"]["headers"][0]["value"], "cP9zcw==");
    assert_eq!(json["spec"]["headers"][1]["value"], "v");
    let tls = &json["spec"]["clientTLS"];
    assert_eq!(tls["rootCA"]["value"], "PEM");
    assert_eq!(tls["certificate"]["value"], "cP9zcw==");
    assert_eq!(tls["privateKey"]["value"], Value::Null);
}

#[test]
fn an_endpoint_with_another_secret_store_is_left_to_the_sidecar() {
    let endpoint = decode(
        Kind::HttpEndpoint,
        &json!({"auth": {"secretStore": "vault"}, "spec": {"baseUrl": "https://x",
                "headers": [{"name": "a", "secretKeyRef": {"name": "redis", "key": "password"}}]}}),
    );
    assert!(endpoint.secrets.is_empty());
    assert_eq!(
        rendered(&endpoint)["spec"]["headers"][0]["value"],
        Value::Null
    );
}

#[test]
fn a_servers_transport_that_is_set_first_is_filled_in() {
    let pair = json!([{"name": "a", "secretKeyRef": {"name": "redis", "key": "password"}}]);
    for (transport, member) in [
        ("streamableHTTP", "headers"),
        ("sse", "headers"),
        ("stdio", "env"),
    ] {
        let server = decode(
            Kind::McpServer,
            &json!({"spec": {"endpoint": {transport: {"url": "https://x", member: pair}}}}),
        );
        assert_eq!(server.secrets.len(), 1, "{transport}");
        let json = rendered(&server);
        assert_eq!(
            json["spec"]["endpoint"][transport][member][0]["value"],
            "cP9zcw=="
        );
    }
    let elsewhere = decode(
        Kind::McpServer,
        &json!({"spec": {"endpoint": {"sse": {"url": "https://x", "headers": pair, "auth": {"secretStore": "vault"}}}}}),
    );
    assert!(elsewhere.secrets.is_empty());
}

#[test]
fn kinds_without_secrets_carry_the_members_that_upstream_always_writes() {
    let subscription = decode(
        Kind::Subscription,
        &json!({"spec": {"topic": "t"}, "scopes": ["cart"]}),
    );
    assert_eq!(&*subscription.scopes[0], "cart");
    assert_eq!(
        rendered(&subscription),
        json!({
            "apiVersion": "dapr.io/v2alpha1", "kind": "Subscription", "scopes": ["cart"],
            "spec": {"topic": "t", "routes": {}, "bulkSubscribe": {"enabled": false}},
        })
    );
    let resiliency = decode(Kind::Resiliency, &json!({"spec": {}}));
    assert_eq!(
        rendered(&resiliency)["spec"],
        json!({"policies": {}, "targets": {}})
    );
    let policy = decode(Kind::WorkflowAccessPolicy, &json!({"spec": {"rules": []}}));
    assert_eq!(rendered(&policy)["kind"], "WorkflowAccessPolicy");
}

#[test]
fn an_event_names_the_kind_only_if_the_api_server_did() {
    let event = |text: &str| {
        let document = serde_json::from_str(text).unwrap();
        let resource = Resource::decode(Kind::WorkflowAccessPolicy, document).unwrap();
        let rendered = resource.render(&|_| SecretValue::NoSecret);
        assert!(String::from_utf8_lossy(&rendered).contains(r#""kind":"WorkflowAccessPolicy""#));
        resource.event(&rendered)
    };
    let bare = r#"{"metadata":{"name":"a"},"spec":{}}"#;
    assert_eq!(event(bare), Some(bare.as_bytes().into()));
    let named = r#"{"apiVersion":"dapr.io/v1alpha1","kind":"WorkflowAccessPolicy","metadata":{"name":"a"},"spec":{}}"#;
    assert_eq!(event(named), None);
}
