use std::time::Duration;

use super::{AppConfig, HostedActors};

const DISSEMINATION: Duration = Duration::from_secs(30);

fn hosted(json: &str) -> HostedActors {
    let config = AppConfig::from_json(json.as_bytes()).unwrap();
    HostedActors::new(&config, DISSEMINATION).unwrap()
}

#[test]
fn an_app_that_says_nothing_hosts_nothing() {
    assert!(hosted("{}").is_empty());
    assert!(hosted(r#"{"entities": null, "entitiesConfig": null, "reentrancy": null}"#).is_empty());
}

#[test]
fn what_is_not_said_has_its_default() {
    let hosted = hosted(r#"{"entities": ["cat"]}"#);
    let cat = hosted.get("cat").unwrap();
    assert_eq!(cat.idle_timeout, Duration::from_secs(3600));
    assert_eq!(cat.drain_timeout, Duration::from_secs(2));
    assert_eq!(cat.reentrancy, None);
    assert_eq!(hosted.get("dog"), None);
}

#[test]
fn settings_of_single_types_take_the_place_of_the_common_ones() {
    let hosted = hosted(
        r#"{"entities": ["cat", "dog"], "actorIdleTimeout": "10m", "reentrancy": {"enabled": true},
            "entitiesConfig": [{"entities": ["dog"], "actorIdleTimeout": "5s",
                                "reentrancy": {"enabled": true, "maxStackDepth": 3}}]}"#,
    );
    let (cat, dog) = (hosted.get("cat").unwrap(), hosted.get("dog").unwrap());
    assert_eq!(
        (cat.idle_timeout, cat.reentrancy),
        (Duration::from_secs(600), Some(32))
    );
    assert_eq!(
        (dog.idle_timeout, dog.reentrancy),
        (Duration::from_secs(5), Some(3))
    );
}

#[test]
fn a_drain_ends_before_its_round_does() {
    let long = hosted(r#"{"entities": ["cat"], "drainOngoingCallTimeout": "1m"}"#);
    assert_eq!(
        long.get("cat").unwrap().drain_timeout,
        Duration::from_secs(24)
    );
    let none = hosted(r#"{"entities": ["cat"], "drainRebalancedActors": false}"#);
    assert_eq!(none.get("cat").unwrap().drain_timeout, Duration::ZERO);
}

#[test]
fn a_bad_common_duration_is_refused_by_name_and_a_bad_single_one_replaced() {
    let config =
        AppConfig::from_json(br#"{"entities": ["cat"], "actorIdleTimeout": "soon"}"#).unwrap();
    let error = HostedActors::new(&config, DISSEMINATION).unwrap_err();
    assert!(
        error.to_string().contains(r#"actorIdleTimeout "soon""#),
        "{error}"
    );
    let hosted = hosted(
        r#"{"entities": ["cat"], "entitiesConfig": [{"entities": ["cat"], "actorIdleTimeout": "soon"}]}"#,
    );
    assert_eq!(
        hosted.get("cat").unwrap().idle_timeout,
        Duration::from_secs(3600)
    );
}

#[test]
fn reserved_types_cannot_be_hosted() {
    assert!(hosted(r#"{"entities": ["dapr.internal.ns.app.workflow", ""]}"#).is_empty());
}
