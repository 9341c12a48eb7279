use serde_json::{Value, json};

use super::{component, redis, said};
use crate::validation::{ActorStore, Facts};

/// What is said of a Redis store with one more setting.
fn setting(name: &str, value: Value) -> Vec<String> {
    let setting = json!([{"name": name, "value": value}]);
    said(&Facts::default(), "Component", &redis(setting))
}

#[test]
fn what_is_right_is_not_spoken_of() {
    for object in [
        redis(
            json!([{"name": "REDISPASSWORD", "secretKeyRef": {"name": "redis"}}, {"name": "enableTLS", "value": true}]),
        ),
        redis(
            json!([{"name": "redisDB", "value": "{namespace}"}, {"name": "dialTimeout", "value": -1}]),
        ),
        component(
            "state.in-memory",
            json!([{"name": "actorStateStore", "value": "true"}]),
        ),
        component(
            "middleware.http.routeralias",
            json!([{"name": "/v1/any", "value": "/v1.0/invoke/x/method/y"}]),
        ),
        component(
            "state.redis",
            json!([{"name": "redisHost", "envRef": "REDIS"}]),
        ),
    ] {
        assert_eq!(
            said(&Facts::default(), "Component", &object),
            [""; 0],
            "{object}"
        );
    }
}

#[test]
fn an_unknown_type_is_told_by_what_is_known_of_it() {
    for (type_name, text) in [
        (
            "state.reddis",
            "spec.type: state.reddis is no known type, did you mean state.redis",
        ),
        (
            "state.mine",
            "spec.type: state.mine is no known type; it works only if it is a pluggable component",
        ),
        (
            "state.cassandra",
            "!spec.type: state.cassandra is known to Dapr, but not in this version of Trilby",
        ),
        (
            "stat.redis",
            "!spec.type: stat.redis has to start with one of state. secretstores.",
        ),
    ] {
        let said = said(
            &Facts::default(),
            "Component",
            &component(type_name, json!([])),
        );
        assert!(said[0].starts_with(text), "{said:?}");
    }
    let mut other = redis(json!([]));
    other["spec"]["version"] = "v7".into();
    assert_eq!(
        said(&Facts::default(), "Component", &other),
        ["!spec.version: \"v7\" is no version of state.redis: it has v1, v0"]
    );
}

#[test]
fn a_component_with_a_container_of_its_own_is_pluggable() {
    let mut object = component("state.mine", json!([]));
    object["metadata"]["annotations"] = json!({"dapr.io/component-container": "{}"});
    assert_eq!(said(&Facts::default(), "Component", &object), [""; 0]);
}

#[test]
fn settings_are_held_against_those_of_the_type() {
    for (name, value, text) in [
        (
            "redisPasword",
            json!("x"),
            "!spec.metadata[redisPasword]: has no effect: state.redis has no such setting, did you mean redisPassword?",
        ),
        (
            "somethingElse",
            json!("x"),
            "!spec.metadata[somethingElse]: has no effect: state.redis has no such setting",
        ),
        (
            "redisPort",
            json!("6379a"),
            "!spec.metadata[redisPort]: has a value that is not a whole number from 0 to 65535",
        ),
        (
            "readTimeout",
            json!("3 s"),
            "!spec.metadata[readTimeout]: has a value that is not a duration like 1m30s, or a number of milliseconds",
        ),
        (
            "redisType",
            json!("sentinel"),
            "!spec.metadata[redisType]: has a value that is not one of node, cluster",
        ),
        (
            "enableTLS",
            json!("ture"),
            "!spec.metadata[enableTLS]: has a value that is neither yes nor no: it is read as false",
        ),
        (
            "redishost",
            json!("x"),
            "!spec.metadata[redishost]: is given more than once",
        ),
        (
            "poolSize",
            json!(5),
            "spec.metadata[poolSize]: has no effect here",
        ),
        (
            "useEntraID",
            json!("true"),
            "!spec.metadata[useEntraID]: is not there yet in this version of Trilby: the component is refused",
        ),
    ] {
        assert_eq!(setting(name, value), [text]);
    }
    assert_eq!(setting("useEntraID", json!("false")), [""; 0]);
}

#[test]
fn what_is_required_has_to_have_a_value() {
    let missing =
        ["!spec.metadata[redisHost]: is missing: the component does not start without it"];
    for metadata in [
        json!([]),
        json!([{"name": "redisHost", "value": ""}]),
        json!(null),
    ] {
        assert_eq!(
            said(
                &Facts::default(),
                "Component",
                &component("state.redis", metadata)
            ),
            missing
        );
    }
    let alias = component(
        "middleware.http.bearer",
        json!([{"name": "issuerURL", "value": "i"}, {"name": "clientID", "value": "c"}]),
    );
    assert_eq!(said(&Facts::default(), "Component", &alias), [""; 0]);
}

#[test]
fn a_value_that_may_be_a_secret_is_never_repeated() {
    let object = redis(json!([
        {"name": "redisPort", "value": "s3cret"}, {"name": "redisTyp", "value": "s3cret"},
        {"name": "redisDB", "value": {"deep": "s3cret"}}, {"name": "enableTLS", "value": "s3cret"},
        {"name": "redisPassword", "value": "s3cret", "secretKeyRef": {"name": "redis", "key": "key"}},
    ]));
    let found = said(&Facts::default(), "Component", &object);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(!found.concat().contains("s3cret"), "{found:?}");
    let broken = json!({"spec": {"type": "state.redis", "metadata": "s3cret"}});
    let found = said(&Facts::default(), "Component", &broken);
    assert_eq!(
        found,
        ["!spec: does not have the form of its kind: sidecars will not be told of it"]
    );
}

#[test]
fn references_to_secrets_are_followed() {
    let keys = ["password".to_owned()];
    let facts = Facts {
        secrets: [
            ("there".to_owned(), Some(keys.into())),
            ("gone".to_owned(), None),
        ]
        .into(),
        ..Facts::default()
    };
    let reference = |name: &str, key: &str| {
        redis(json!([{"name": "redisPassword", "secretKeyRef": {"name": name, "key": key}}]))
    };
    let path = "!spec.metadata[redisPassword]";
    for (name, key, expected) in [
        ("there", "password", None),
        ("not-looked-at", "password", None),
        (
            "gone",
            "password",
            Some("refers to the Secret \"gone\", which does not exist in this namespace"),
        ),
        (
            "there",
            "pass",
            Some("refers to the key \"pass\", which the Secret \"there\" does not have"),
        ),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|text| format!("{path}: {text}"))
            .collect();
        assert_eq!(said(&facts, "Component", &reference(name, key)), expected);
    }
    let mut elsewhere = reference("gone", "password");
    elsewhere["auth"] = json!({"secretStore": "vault"});
    assert_eq!(
        said(&facts, "Component", &elsewhere),
        [""; 0],
        "another store knows"
    );
}

#[test]
fn a_secret_store_has_to_be_one() {
    let facts = Facts {
        components: [
            ("gone".to_owned(), None),
            ("bus".to_owned(), Some("pubsub.redis".to_owned())),
            (
                "vault".to_owned(),
                Some("secretstores.hashicorp.vault".to_owned()),
            ),
        ]
        .into(),
        ..Facts::default()
    };
    for (store, text) in [
        ("vault", None),
        ("kubernetes", None),
        (
            "gone",
            Some(
                "!auth.secretStore: names the secret store \"gone\", but there is no such Component",
            ),
        ),
        (
            "bus",
            Some(
                "!auth.secretStore: names the Component \"bus\", which is no secret store but pubsub.redis",
            ),
        ),
    ] {
        let mut object = redis(json!([]));
        object["auth"] = json!({"secretStore": store});
        assert_eq!(said(&facts, "Component", &object), Vec::from_iter(text));
    }
}

#[test]
fn an_app_has_one_store_for_actors() {
    let other = |scopes: &[&str]| Facts {
        actor_stores: ["store", "other"]
            .map(|name| ActorStore {
                name: name.to_owned(),
                scopes: scopes.iter().map(|app_id| (*app_id).to_owned()).collect(),
            })
            .into(),
        ..Facts::default()
    };
    let mut object = redis(json!([{"name": "actorStateStore", "value": "true"}]));
    object["scopes"] = json!(["a"]);
    let twice = "!spec.metadata[actorStateStore]: the Component \"other\" is the actors' state store as well: apps may have one";
    assert_eq!(said(&other(&[]), "Component", &object), [twice]);
    assert_eq!(said(&other(&["b", "a"]), "Component", &object), [twice]);
    assert_eq!(said(&other(&["b"]), "Component", &object), [""; 0]);
}

#[test]
fn an_unreadable_time_to_start_is_told_although_upstream_is_silent() {
    for (text, ending) in [
        ("5", "5s is used"),
        ("0s", "is zero: 5s is used"),
        ("-1s", "5s is used"),
    ] {
        let mut object = redis(json!([]));
        object["spec"]["initTimeout"] = text.into();
        let found = said(&Facts::default(), "Component", &object);
        assert!(
            found.len() == 1 && found[0].starts_with("!spec.initTimeout: "),
            "{found:?}"
        );
        assert!(found[0].ends_with(ending), "{found:?}");
    }
}

#[test]
fn sources_of_a_value_do_not_compete() {
    let secret = json!({"name": "redis", "key": "key"});
    for (pair, text) in [
        (
            json!({"name": "redisPassword", "value": "x", "secretKeyRef": secret}),
            "a value and a secretKeyRef",
        ),
        (
            json!({"name": "redisPassword", "value": "x", "envRef": "X"}),
            "a value and an envRef",
        ),
        (
            json!({"name": "redisPassword", "envRef": "X", "secretKeyRef": secret}),
            "an envRef and a secretKeyRef",
        ),
    ] {
        let found = said(&Facts::default(), "Component", &redis(json!([pair])));
        assert!(
            found.len() == 1 && found[0].contains(&format!("has both {text}")),
            "{found:?}"
        );
    }
}
