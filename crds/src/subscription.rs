//! `Subscription`: topics whose messages the app receives. The older version says one route, the newer one rules.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::V2ALPHA1;
use crate::lenient::{non_empty, null_as_default};
use crate::object::{Object, Spec};

/// A topic whose messages the app receives.
pub type Subscription = Object<SubscriptionSpec>;

/// A [`Subscription`] in its older version.
pub type SubscriptionV1 = Object<SubscriptionV1Spec>;

/// A topic, and the paths that its messages go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionSpec {
    /// Name of the pub/sub component.
    #[serde(rename = "pubsubname", deserialize_with = "null_as_default")]
    pub pubsub_name: String,
    /// Name of the topic.
    #[serde(deserialize_with = "null_as_default")]
    pub topic: String,
    /// Settings of the subscription, which the component reads.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub metadata: BTreeMap<String, String>,
    /// Paths of the app.
    #[serde(deserialize_with = "null_as_default")]
    pub routes: RoutesSpec,
    /// Topic for messages that the app does not take.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub dead_letter_topic: Option<String>,
    /// Several messages at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_subscribe: Option<BulkSubscribeSpec>,
}

/// Paths of the app, by rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutesSpec {
    /// Rules, of which the first that matches counts.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub rules: Vec<RouteRuleSpec>,
    /// Path for messages that no rule matches.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub default: Option<String>,
}

/// A condition and a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RouteRuleSpec {
    /// CEL expression over the event; empty matches always.
    #[serde(rename = "match", deserialize_with = "null_as_default")]
    pub condition: String,
    /// Path of the app.
    #[serde(deserialize_with = "null_as_default")]
    pub path: String,
}

/// Several messages at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BulkSubscribeSpec {
    /// Whether messages are delivered several at once.
    #[serde(deserialize_with = "null_as_default")]
    pub enabled: bool,
    /// Most messages of one delivery; unset or 0 means the component's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages_count: Option<i32>,
    /// Longest wait for more messages, in milliseconds; unset or 0 means the component's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_await_duration_ms: Option<i32>,
}

/// A topic, and the one path that its messages go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionV1Spec {
    /// Name of the pub/sub component.
    #[serde(rename = "pubsubname", deserialize_with = "null_as_default")]
    pub pubsub_name: String,
    /// Name of the topic.
    #[serde(deserialize_with = "null_as_default")]
    pub topic: String,
    /// Settings of the subscription, which the component reads.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub metadata: BTreeMap<String, String>,
    /// Path of the app.
    #[serde(deserialize_with = "null_as_default")]
    pub route: String,
    /// Topic for messages that the app does not take.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub dead_letter_topic: Option<String>,
    /// Several messages at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_subscribe: Option<BulkSubscribeSpec>,
}

// === impl SubscriptionSpec ===

const DESCRIPTION: &str = "A topic whose messages the app receives.";

impl Spec for SubscriptionSpec {
    const KIND: &'static str = "Subscription";
    const PLURAL: &'static str = "subscriptions";
    const VERSION: &'static str = V2ALPHA1;
    const DESCRIPTION: &'static str = DESCRIPTION;
}

impl From<SubscriptionV1Spec> for SubscriptionSpec {
    fn from(older: SubscriptionV1Spec) -> Self {
        Self {
            pubsub_name: older.pubsub_name,
            topic: older.topic,
            metadata: older.metadata,
            routes: RoutesSpec {
                rules: Vec::new(),
                default: Some(older.route).filter(|route| !route.is_empty()),
            },
            dead_letter_topic: older.dead_letter_topic,
            bulk_subscribe: older.bulk_subscribe,
        }
    }
}

// === impl SubscriptionV1Spec ===

impl Spec for SubscriptionV1Spec {
    const KIND: &'static str = "Subscription";
    const PLURAL: &'static str = "subscriptions";
    const DESCRIPTION: &'static str = DESCRIPTION;
}

impl From<SubscriptionV1> for Subscription {
    fn from(older: SubscriptionV1) -> Self {
        Self {
            metadata: older.metadata,
            spec: older.spec.into(),
            auth: None,
            scopes: older.scopes,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_full_subscription_survives_a_round_trip() {
        let written = json!({
            "apiVersion": "dapr.io/v2alpha1",
            "kind": "Subscription",
            "metadata": {"name": "orders"},
            "spec": {
                "pubsubname": "bus",
                "topic": "orders",
                "metadata": {"rawPayload": "true"},
                "routes": {"rules": [{"match": "event.type == \"w\"", "path": "/w"}], "default": "/o"},
                "deadLetterTopic": "dead",
                "bulkSubscribe": {"enabled": true, "maxMessagesCount": 10, "maxAwaitDurationMs": 20},
            },
            "scopes": ["a"],
        });
        let decoded: Subscription = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), written);
    }

    #[test]
    fn the_route_of_the_older_version_is_the_default_route() {
        let older: SubscriptionV1 = serde_json::from_value(json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Subscription",
            "metadata": {"name": "orders"},
            "spec": {"pubsubname": "bus", "topic": "orders", "route": "/o", "deadLetterTopic": "dead"},
            "scopes": ["a"],
        }))
        .unwrap();
        let newer = Subscription::from(older);
        assert_eq!(
            serde_json::to_value(newer).unwrap(),
            json!({
                "apiVersion": "dapr.io/v2alpha1",
                "kind": "Subscription",
                "metadata": {"name": "orders"},
                "spec": {"pubsubname": "bus", "topic": "orders", "routes": {"default": "/o"}, "deadLetterTopic": "dead"},
                "scopes": ["a"],
            })
        );
    }
}
