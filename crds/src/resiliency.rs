//! `Resiliency`: named policies, and which calls they are for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{non_empty, null_as_default};
use crate::object::{Object, Spec};

/// Timeouts, retries and circuit breakers, and the calls that they are for.
pub type Resiliency = Object<ResiliencySpec>;

/// Policies and their targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResiliencySpec {
    /// Policies by name.
    #[serde(deserialize_with = "null_as_default")]
    pub policies: PoliciesSpec,
    /// Which policies apply to which calls.
    #[serde(deserialize_with = "null_as_default")]
    pub targets: TargetsSpec,
}

/// Policies, each kind by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoliciesSpec {
    /// How long one attempt may take, as a Go duration; a bare number is milliseconds.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub timeouts: BTreeMap<String, String>,
    /// How often and when a failed call is made again.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub retries: BTreeMap<String, RetrySpec>,
    /// When calls are no longer made for a while.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub circuit_breakers: BTreeMap<String, CircuitBreakerSpec>,
}

/// How often and when a failed call is made again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetrySpec {
    /// `constant` or `exponential`. Default: `constant`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub policy: Option<String>,
    /// Pause of the policy `constant`, as a Go duration. Default: `5s`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub duration: Option<String>,
    /// Longest pause of the policy `exponential`, as a Go duration. Default: `60s`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_interval: Option<String>,
    /// Attempts after the first; -1 is no limit. Default: -1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
    /// Which failures are tried again; unset means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matching: Option<RetryMatchingSpec>,
}

/// Which failures are tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryMatchingSpec {
    /// HTTP status codes and ranges of them, as `429,500-599`; unset means all errors.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub http_status_codes: Option<String>,
    /// gRPC status codes and ranges of them, as `4,8-14`; unset means all errors.
    #[serde(
        rename = "gRPCStatusCodes",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub grpc_status_codes: Option<String>,
}

/// When calls are no longer made for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CircuitBreakerSpec {
    /// Calls let through while half open. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<i64>,
    /// How often counts start from zero while closed, as a Go duration; unset means never.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub interval: Option<String>,
    /// Time from open to half open, as a Go duration.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<String>,
    /// CEL expression over the counts that opens the breaker. Default: `consecutiveFailures > 5`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub trip: Option<String>,
}

/// Which policies apply to which calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TargetsSpec {
    /// Calls of other apps, by app id.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub apps: BTreeMap<String, AppTargetSpec>,
    /// Calls of actors, by actor type.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub actors: BTreeMap<String, ActorTargetSpec>,
    /// Use of components, by component name.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub components: BTreeMap<String, ComponentTargetSpec>,
}

/// Policies of calls of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AppTargetSpec {
    /// Name of the timeout.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<String>,
    /// Name of the retry policy.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry: Option<String>,
    /// Name of the circuit breaker.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub circuit_breaker: Option<String>,
    /// How many circuit breakers are kept, one per endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker_cache_size: Option<i64>,
}

/// Policies of calls of one actor type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ActorTargetSpec {
    /// Name of the timeout.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<String>,
    /// Name of the retry policy.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry: Option<String>,
    /// Name of the circuit breaker.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub circuit_breaker: Option<String>,
    /// What shares a circuit breaker: `type`, `id` or `both`; needed with a circuit breaker.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub circuit_breaker_scope: Option<String>,
    /// How many circuit breakers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker_cache_size: Option<i64>,
}

/// Policies of the use of one component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ComponentTargetSpec {
    /// From the component to the app.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub inbound: PolicyNamesSpec,
    /// From the app to the component.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub outbound: PolicyNamesSpec,
}

/// Policies of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyNamesSpec {
    /// Name of the timeout.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<String>,
    /// Name of the retry policy.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry: Option<String>,
    /// Name of the circuit breaker.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub circuit_breaker: Option<String>,
}

// === impl ResiliencySpec ===

impl Spec for ResiliencySpec {
    const KIND: &'static str = "Resiliency";
    const PLURAL: &'static str = "resiliencies";
    const DESCRIPTION: &'static str =
        "Timeouts, retries and circuit breakers, and the calls that they are for.";
}

fn is_default(names: &PolicyNamesSpec) -> bool {
    *names == PolicyNamesSpec::default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_full_resiliency_survives_a_round_trip() {
        let written = json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Resiliency",
            "metadata": {"name": "r"},
            "spec": {
                "policies": {
                    "timeouts": {"t": "5s"},
                    "retries": {"r": {
                        "policy": "exponential", "duration": "1s", "maxInterval": "15s", "maxRetries": 0,
                        "matching": {"httpStatusCodes": "429", "gRPCStatusCodes": "14"},
                    }},
                    "circuitBreakers": {"c": {
                        "maxRequests": 2, "interval": "8s", "timeout": "45s", "trip": "requests > 3",
                    }},
                },
                "targets": {
                    "apps": {"a": {"timeout": "t", "retry": "r", "circuitBreaker": "c", "circuitBreakerCacheSize": 5}},
                    "actors": {"A": {"circuitBreaker": "c", "circuitBreakerScope": "both", "circuitBreakerCacheSize": 5}},
                    "components": {"s": {"inbound": {"retry": "r"}, "outbound": {"circuitBreaker": "c"}}},
                },
            },
            "scopes": ["a"],
        });
        let decoded: Resiliency = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), written);
    }

    #[test]
    fn null_and_absent_are_zero_values() {
        let decoded: Resiliency = serde_json::from_value(json!({
            "spec": {"policies": {"timeouts": null}, "targets": null}, "scopes": null,
        }))
        .unwrap();
        assert_eq!(decoded.spec, ResiliencySpec::default());
        assert!(decoded.in_scope_of("any"));
    }
}
