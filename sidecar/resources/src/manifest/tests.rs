use std::time::Duration;

use super::{Manifest, Received};

fn manifest(json: &str) -> Manifest {
    match Received::decode(json.as_bytes()) {
        Some(Received::Manifest(manifest)) => *manifest,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_operators_form_is_read() {
    let manifest = manifest(
        r#"{"kind":"Component","apiVersion":"dapr.io/v1alpha1","metadata":{"name":"store","namespace":"shop",
        "uid":"u","generation":3},"spec":{"type":"state.redis","version":"v1","ignoreErrors":false,
        "initTimeout":"","metadata":[{"name":"n","value":6,"secretKeyRef":{"name":"","key":""}},
        {"name":"p","value":"YQ==","secretKeyRef":{"name":"redis","key":""}}]},"auth":{"secretStore":""},
        "scopes":["a"]}"#,
    );
    assert_eq!(manifest.log_name(), "store (state.redis/v1)");
    assert_eq!(manifest.init_timeout, Duration::from_secs(5));
    assert_eq!(manifest.properties[0].value, "6");
    assert_eq!(manifest.properties[0].secret, None);
    assert_eq!(
        manifest.properties[1].secret,
        Some(("redis".into(), "redis".into()))
    );
    assert!(manifest.in_scope_of("a", Some("shop")));
    assert!(!manifest.in_scope_of("b", Some("shop")));
    assert!(!manifest.in_scope_of("a", Some("other")));
    assert!(manifest.in_scope_of("a", None));
}

#[test]
fn a_limit_that_makes_no_sense_is_five_seconds() {
    for (text, seconds) in [("1m", 60), ("0s", 5), ("-1s", 5), ("soon", 5)] {
        let json = format!(r#"{{"metadata":{{"name":"s"}},"spec":{{"initTimeout":"{text}"}}}}"#);
        assert_eq!(manifest(&json).init_timeout.as_secs(), seconds, "{text}");
    }
}

#[test]
fn what_is_no_component_is_broken_under_its_name() {
    let broken =
        Received::decode(br#"{"metadata":{"name":"store"},"spec":{"metadata":"no list"}}"#);
    let Some(Received::Broken { name, reason, .. }) = broken else {
        panic!("{broken:?}");
    };
    assert_eq!(name, "store");
    assert!(reason.starts_with("it is not a Component: "), "{reason}");
    let unusable = Received::decode(br#"{"metadata":{"name":"a/b"}}"#);
    assert!(
        matches!(unusable, Some(Received::Broken { .. })),
        "{unusable:?}"
    );
    for nameless in ["{}", "[]", "", "{\"metadata\":{}}"] {
        assert_eq!(Received::decode(nameless.as_bytes()), None, "{nameless:?}");
    }
}

#[test]
fn deny_rules_name_a_type_or_a_type_and_version() {
    let manifest =
        manifest(r#"{"metadata":{"name":"s"},"spec":{"type":"state.redis","version":"v1"}}"#);
    let denied = |rule: &str| manifest.is_denied_by(&[rule.to_owned()]);
    assert!(denied("state.redis"));
    assert!(denied("state.redis/v1"));
    assert!(!denied("state.redis/v2"));
    assert!(!denied("state"));
    assert!(!manifest.is_denied_by(&[]));
}

#[test]
fn a_component_without_version_is_refused_where_rules_exist() {
    let manifest = manifest(r#"{"metadata":{"name":"s"},"spec":{"type":"state.redis"}}"#);
    assert!(manifest.is_denied_by(&["pubsub.kafka".to_owned()]));
}

#[test]
fn debug_shows_no_value() {
    let manifest = manifest(
        r#"{"metadata":{"name":"s"},"spec":{"type":"t","metadata":[{"name":"password","value":"s3cret"}]}}"#,
    );
    assert_eq!(format!("{manifest:?}"), r#"s (t/) ["password"]"#);
}
