use serde_json::{Value, json};
use trilby_components::name_resolution::Instance;

use super::Settings;

fn settings(configuration: &Value) -> Result<Settings, String> {
    let instance = Instance {
        app_id: "orders".to_owned(),
        host: "10.0.0.1".to_owned(),
        http_port: 3500,
        internal_port: 50002,
        app_port: Some(8080),
        ..Instance::default()
    };
    Settings::new(&instance, configuration, |_| None).map_err(|error| error.to_string())
}

fn service(configuration: &Value) -> Value {
    settings(configuration)
        .unwrap()
        .registration
        .unwrap()
        .service
}

#[test]
fn nothing_is_registered_unless_told() {
    let settings = settings(&Value::Null).unwrap();
    assert_eq!(settings.registration, None);
    assert_eq!(settings.port_key, "DAPR_PORT");
    assert!(!settings.use_cache && !settings.deregister);
    assert!(settings.warnings.is_empty());
}

#[test]
fn a_sidecar_is_registered_as_upstream_does() {
    let registered = service(&json!({ "selfRegister": true, "tags": ["a"], "meta": { "v": "1" } }));
    let expected = json!({
        "ID": "orders-10.0.0.1-3500", "Name": "orders", "Address": "10.0.0.1", "Port": 8080, "Tags": ["a"],
        "Meta": { "v": "1", "DAPR_PORT": "50002" },
        "Checks": [{
            "Name": "Dapr Health Status", "CheckID": "daprHealth:orders-10.0.0.1-3500", "Interval": "15s",
            "HTTP": "http://10.0.0.1:3500/v1.0/healthz?appid=orders",
        }],
    });
    assert_eq!(registered, expected);
}

#[test]
fn checks_of_the_users_own_take_the_place_of_the_default_one() {
    let registered = service(&json!({
        "selfRegister": true, "daprPortMetaKey": "PORT", "checks": [{ "checkID": "own", "ttl": "10s" }],
    }));
    assert_eq!(
        registered["Checks"],
        json!([{ "CheckID": "own", "TTL": "10s" }])
    );
    assert_eq!(registered["Meta"], json!({ "PORT": "50002" }));
}

#[test]
fn an_advanced_registration_says_what_it_overrides() {
    let settings = settings(&json!({
        "selfRegister": true, "tags": ["a"], "advancedRegistration": { "name": "mine", "port": 1 },
    }))
    .unwrap();
    let registration = settings.registration.unwrap();
    assert_eq!(
        registration.service,
        json!({ "Name": "mine", "Port": 1, "Meta": { "DAPR_PORT": "50002" } })
    );
    assert_eq!(registration.id, "mine");
    let warnings = [
        "selfRegister has no effect beside advancedRegistration",
        "tags has no effect beside advancedRegistration",
    ];
    assert_eq!(settings.warnings, warnings);
}

#[test]
fn what_has_no_effect_is_named() {
    let settings = settings(&json!({ "selfRegistr": true, "queryOptions": { "waitIndex": 7 } }));
    let warnings = [
        "selfRegistr is no setting, and is left out",
        "queryOptions.waitIndex and queryOptions.waitHash have no effect",
    ];
    assert_eq!(settings.unwrap().warnings, warnings);
}

#[test]
fn wrong_settings_say_what_is_wrong() {
    let refusal = |configuration: Value| settings(&configuration).unwrap_err();
    let of_the_resolver = "configuration of name resolver hashicorp.consul: ";
    for (configuration, reason) in [
        (json!("x"), "expected an object"),
        (json!({ "tags": "a" }), "tags: expected a list"),
        (json!({ "queryOptions": { "relayFactor": 300 } }), "300"),
        (
            json!({ "advancedRegistration": {} }),
            "advancedRegistration.name is needed",
        ),
        (
            json!({ "client": { "token": "a\nb" } }),
            "client.token: not the text of a token",
        ),
    ] {
        let refused = refusal(configuration);
        assert!(refused.starts_with(of_the_resolver), "{refused}");
        assert!(refused.contains(reason), "{refused}");
    }
}
