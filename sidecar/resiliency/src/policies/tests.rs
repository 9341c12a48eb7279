use crate::observer::Silent;
use crate::{Manifest, Resiliency};

use super::*;

fn loaded(specs: &[serde_json::Value]) -> Resiliency {
    let resiliency = Resiliency::new(Arc::new(Silent));
    let specs: Vec<trilby_crds::ResiliencySpec> = specs
        .iter()
        .map(|spec| serde_json::from_value(spec.clone()).unwrap())
        .collect();
    let names: Vec<String> = (0..specs.len())
        .map(|number| format!("r{number}"))
        .collect();
    let manifests: Vec<Manifest<'_>> = specs
        .iter()
        .zip(&names)
        .map(|(spec, name)| Manifest {
            name,
            namespace: "ns",
            spec,
        })
        .collect();
    assert_eq!(resiliency.replace(&manifests), []);
    resiliency
}

fn full() -> serde_json::Value {
    serde_json::json!({
        "policies": {
            "timeouts": {"fast": "1s", "none": "0s", "DefaultComponentOutboundTimeoutPolicy": "7s"},
            "retries": {"often": {"maxRetries": 9}, "DefaultAppRetryPolicy": {"maxRetries": 2}},
            "circuitBreakers": {"cb": {}, "other": {"timeout": "1s"}},
        },
        "targets": {
            "apps": {
                "a": {"timeout": "fast", "retry": "often", "circuitBreaker": "cb"},
                "bare": {},
                "small": {"circuitBreaker": "cb", "circuitBreakerCacheSize": 1},
                "untimed": {"timeout": "none"},
            },
            "actors": {
                "T": {"timeout": "fast", "retry": "often", "circuitBreaker": "cb", "circuitBreakerScope": "type"},
                "I": {"circuitBreaker": "cb", "circuitBreakerScope": "id"},
                "B": {"circuitBreaker": "cb", "circuitBreakerScope": "both"},
            },
            "components": {
                "one": {"inbound": {"circuitBreaker": "cb"}, "outbound": {"circuitBreaker": "cb"}},
                "two": {"inbound": {"circuitBreaker": "cb"}, "outbound": {"circuitBreaker": "other"}},
            },
        },
    })
}

fn breaker(policy: Option<Policy>) -> Arc<crate::Breaker> {
    policy.unwrap().breaker.unwrap()
}

#[test]
fn a_sidecar_without_resources_has_no_policies() {
    let resiliency = loaded(&[]);
    let policies = resiliency.policies();
    assert!(policies.app("a", "m").is_none() && !policies.names_app("a"));
    assert!(policies.actor("T", "1").is_none() && policies.actor_turn("T").is_none());
    assert!(
        policies
            .component("s", ComponentKind::StateStore, Direction::Outbound)
            .is_none()
    );
}

#[test]
fn built_in_retries_are_those_of_upstream() {
    let resiliency = loaded(&[]);
    let policies = resiliency.policies();
    let service = policies.builtin(Builtin::ServiceRetries);
    assert_eq!(**service, Retry::constant(Duration::from_secs(1), 3));
    let not_found = policies.builtin(Builtin::ActorNotFoundRetries);
    assert_eq!(**not_found, Retry::constant(Duration::from_secs(1), 5));
    for builtin in Builtin::ALL {
        assert_eq!(Builtin::of_name(builtin.name()), Some(builtin));
    }
}

#[test]
fn a_named_app_has_its_own_policy_and_no_default() {
    let resiliency = loaded(&[full()]);
    let policies = resiliency.policies();
    let policy = policies.app("a", "m").unwrap();
    assert_eq!(policy.timeout, Some(Duration::from_secs(1)));
    assert_eq!(policy.retry.unwrap().max_retries, Some(9));
    assert!(policy.breaker.is_some());
    assert_eq!(&*policy.subject.target, "app_a");
    assert!(policies.app("bare", "m").is_none() && policies.names_app("bare"));
    assert!(policies.app("untimed", "m").is_none());
}

#[test]
fn other_apps_have_the_default_policy() {
    let resiliency = loaded(&[full()]);
    let policies = resiliency.policies();
    let policy = policies.app("stranger", "m").unwrap();
    assert_eq!(policy.retry.unwrap().max_retries, Some(2));
    assert_eq!(&*policy.subject.target, "app_stranger");
    assert!(!policies.names_app("stranger"));
}

#[test]
fn apps_have_a_breaker_per_method_up_to_the_cache_size() {
    let resiliency = loaded(&[full()]);
    let policies = resiliency.policies();
    let first = breaker(policies.app("a", "m"));
    assert!(Arc::ptr_eq(&first, &breaker(policies.app("a", "m"))));
    assert!(!Arc::ptr_eq(&first, &breaker(policies.app("a", "n"))));
    let first = breaker(policies.app("small", "m"));
    breaker(policies.app("small", "n"));
    assert!(!Arc::ptr_eq(&first, &breaker(policies.app("small", "m"))));
}

#[test]
fn actors_have_breakers_by_scope() {
    let resiliency = loaded(&[full()]);
    let policies = resiliency.policies();
    let same = |kind| {
        let of = |id| breaker(policies.actor(kind, id));
        Arc::ptr_eq(&of("1"), &of("2"))
    };
    assert_eq!(["T", "I", "B"].map(same), [true, false, false]);
}

#[test]
fn an_actors_timeout_is_that_of_its_turn() {
    let resiliency = loaded(&[full()]);
    let policies = resiliency.policies();
    let call = policies.actor("T", "1").unwrap();
    assert_eq!(call.timeout, None);
    assert!(call.retry.is_some() && call.breaker.is_some());
    let turn = policies.actor_turn("T").unwrap();
    assert_eq!(turn.timeout, Some(Duration::from_secs(1)));
    assert!(turn.retry.is_none() && turn.breaker.is_none());
}

#[test]
fn one_breaker_policy_guards_both_ways_of_a_component_and_two_guard_each_its_own() {
    let resiliency = loaded(&[full()]);
    let policies = resiliency.policies();
    let same = |name| {
        let of = |way| breaker(policies.component(name, ComponentKind::Pubsub, way));
        Arc::ptr_eq(&of(Direction::Inbound), &of(Direction::Outbound))
    };
    assert!(same("one"));
    assert!(!same("two"));
}

#[test]
fn components_without_policy_have_the_default_of_their_way() {
    let resiliency = loaded(&[full()]);
    let policies = resiliency.policies();
    let of = |way| policies.component("s", ComponentKind::SecretStore, way);
    assert_eq!(
        of(Direction::Outbound).unwrap().timeout,
        Some(Duration::from_secs(7))
    );
    assert_eq!(
        &*of(Direction::Outbound).unwrap().subject.target,
        "Secretstore_s"
    );
    assert!(of(Direction::Inbound).is_none());
}

#[test]
fn later_resources_replace_by_name_and_share_policies() {
    let first = serde_json::json!({
        "policies": {"retries": {"x": {"maxRetries": 1}, "y": {"maxRetries": 2}}},
        "targets": {"apps": {"a": {"retry": "x"}, "b": {"retry": "y"}}},
    });
    let second = serde_json::json!({
        "policies": {"retries": {"x": {"maxRetries": 10}}},
        "targets": {"apps": {"b": {"retry": "x"}}},
    });
    let resiliency = loaded(&[first, second]);
    let policies = resiliency.policies();
    let of = |app| {
        let policy = policies.app(app, "m").unwrap();
        (
            policy.retry.unwrap().max_retries,
            policy.subject.resource.to_string(),
        )
    };
    assert_eq!(of("a"), (Some(10), "r0".to_owned()));
    assert_eq!(of("b"), (Some(10), "r1".to_owned()));
}

#[test]
fn a_built_in_policy_can_be_replaced_and_referred_to() {
    let spec = serde_json::json!({
        "policies": {"retries": {"DaprBuiltInServiceRetries": {"duration": "2s", "maxRetries": 5}}},
        "targets": {"apps": {"a": {"retry": "DaprBuiltInActorRetries"}}},
    });
    let resiliency = loaded(&[spec]);
    let policies = resiliency.policies();
    let service = policies.builtin(Builtin::ServiceRetries);
    assert_eq!(**service, Retry::constant(Duration::from_secs(2), 5));
    let of_app = policies.app("a", "m").unwrap().retry.unwrap();
    assert!(Arc::ptr_eq(
        &of_app,
        policies.builtin(Builtin::ActorRetries)
    ));
}

#[test]
fn breakers_of_strangers_are_bounded() {
    let spec = serde_json::json!({
        "policies": {"circuitBreakers": {"DefaultCircuitBreakerPolicy": {}}}, "targets": {},
    });
    let resiliency = loaded(&[spec]);
    let policies = resiliency.policies();
    let first = breaker(policies.app("app-0", "m"));
    for number in 1..=UNNAMED_TARGETS {
        breaker(policies.app(&format!("app-{number}"), "m"));
    }
    assert!(!Arc::ptr_eq(&first, &breaker(policies.app("app-0", "m"))));
}
