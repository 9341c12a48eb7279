use std::time::Duration;

use super::*;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn retry(name: &str, retry: RetrySpec) -> ResiliencySpec {
    let mut spec = ResiliencySpec::default();
    spec.policies.retries.insert(name.to_owned(), retry);
    spec
}

fn decoded(spec: &ResiliencySpec) -> Decoded {
    decode("r", spec).unwrap()
}

#[test]
fn retries_have_upstreams_defaults() {
    let definition = decoded(&retry("x", RetrySpec::default())).definition;
    let x = &definition.retries["x"];
    assert_eq!(x.schedule, Schedule::Constant(Duration::from_secs(5)));
    assert_eq!(x.max_retries, None);
    let exponential = RetrySpec {
        policy: text("Exponential"),
        ..RetrySpec::default()
    };
    let definition = decoded(&retry("x", exponential)).definition;
    let growth = Exponential::default();
    assert_eq!(
        definition.retries["x"].schedule,
        Schedule::Exponential(growth)
    );
}

#[test]
fn breakers_have_upstreams_defaults() {
    let mut spec = ResiliencySpec::default();
    let breakers = &mut spec.policies.circuit_breakers;
    breakers.insert("cb".to_owned(), CircuitBreakerSpec::default());
    let definition = decoded(&spec).definition;
    let settings = &definition.breakers["cb"];
    assert_eq!(
        (settings.max_requests, settings.interval),
        (1, Duration::ZERO)
    );
    assert_eq!(settings.timeout, Duration::from_secs(60));
    assert_eq!(*settings.trip, Trip::after_failures());
}

#[test]
fn built_in_policies_get_three_retries_at_least() {
    for asked in [None, Some(-1), Some(0), Some(2)] {
        let spec = RetrySpec {
            max_retries: asked,
            ..RetrySpec::default()
        };
        let decoded = decoded(&retry("DaprBuiltInServiceRetries", spec));
        let retries = decoded.definition.retries["DaprBuiltInServiceRetries"].max_retries;
        assert_eq!((retries, decoded.remarks.len()), (Some(3), 1), "{asked:?}");
    }
    let spec = RetrySpec {
        max_retries: Some(7),
        ..RetrySpec::default()
    };
    let decoded = decoded(&retry("DaprBuiltInActorRetries", spec));
    assert_eq!(
        decoded.definition.retries["DaprBuiltInActorRetries"].max_retries,
        Some(7)
    );
    assert_eq!(decoded.remarks, []);
}

#[test]
fn protected_policy_is_left_alone_with_a_remark() {
    let decoded = decoded(&retry(
        "DaprBuiltInActorNotFoundRetries",
        RetrySpec::default(),
    ));
    assert!(decoded.definition.retries.is_empty());
    assert!(
        decoded.remarks[0]
            .to_string()
            .contains("cannot be replaced")
    );
}

/// A resource with a mistake in every field that can have one.
fn mistaken() -> ResiliencySpec {
    let spec = serde_json::json!({
        "policies": {
            "timeouts": {"t": "1 day"},
            "retries": {"x": {
                "policy": "linear", "duration": "soon",
                "matching": {"httpStatusCodes": "5xx", "gRPCStatusCodes": "99"},
            }},
            "circuitBreakers": {"cb": {"maxRequests": -1, "trip": "consecutiveFailures >"}},
        },
        "targets": {
            "apps": {"a": {"circuitBreakerCacheSize": -5}},
            "actors": {
                "A": {"circuitBreaker": "cb"},
                "B": {"circuitBreaker": "cb", "circuitBreakerScope": "all"},
            },
        },
    });
    serde_json::from_value(spec).unwrap()
}

#[test]
fn every_mistake_is_named_with_resource_field_and_value() {
    let error = decode("mine", &mistaken()).unwrap_err();
    let fields: Vec<&str> = error
        .problems
        .iter()
        .map(|problem| problem.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "spec.policies.timeouts.t",
            "spec.policies.retries.x.duration",
            "spec.policies.retries.x.policy",
            "spec.policies.retries.x.matching.httpStatusCodes",
            "spec.policies.retries.x.matching.gRPCStatusCodes",
            "spec.policies.circuitBreakers.cb.maxRequests",
            "spec.policies.circuitBreakers.cb.trip",
            "spec.targets.apps.a.circuitBreakerCacheSize",
            "spec.targets.actors.A.circuitBreakerScope",
            "spec.targets.actors.B.circuitBreakerScope",
        ]
    );
    let message = error.to_string();
    for value in [
        "mine",
        "1 day",
        "soon",
        "linear",
        "5xx",
        "99",
        "-1",
        "consecutiveFailures >",
        "-5",
        "all",
    ] {
        assert!(message.contains(value), "{value}: {message}");
    }
}

#[test]
fn a_trip_that_never_holds_is_accepted_with_a_remark() {
    let mut spec = ResiliencySpec::default();
    let breaker = CircuitBreakerSpec {
        trip: text("consecutiveFailure > 5"),
        ..CircuitBreakerSpec::default()
    };
    spec.policies.circuit_breakers.insert("cb".into(), breaker);
    let remark = decoded(&spec).remarks[0].to_string();
    assert!(
        remark.starts_with("spec.policies.circuitBreakers.cb.trip: "),
        "{remark}"
    );
    assert!(remark.contains("never opens"), "{remark}");
}
