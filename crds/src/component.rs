//! `Component`: one building-block instance and its settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{non_empty, null_as_default};
use crate::object::{Object, Spec};
use crate::value::NameValuePair;

/// A building-block instance: what serves it, its settings, and the apps that may use it.
pub type Component = Object<ComponentSpec>;

/// What serves the building block, and its settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentSpec {
    /// Building block and technology, as `state.redis`.
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub type_: String,
    /// Version of the component type, as `v1`.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// The component's settings.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Vec<NameValuePair>,
    /// Whether a sidecar keeps running when this component cannot be initialised. Default: false.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_false")]
    pub ignore_errors: bool,
    /// Time the component has to initialise, as a Go duration (`5s`, `1m30s`). Unset, unreadable or not positive: 5s.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub init_timeout: Option<String>,
}

/// Where secrets that a resource refers to are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Name of a secret-store component; empty means Kubernetes secrets when running on Kubernetes.
    #[serde(deserialize_with = "null_as_default")]
    pub secret_store: String,
}

// === impl ComponentSpec ===

impl Spec for ComponentSpec {
    const KIND: &'static str = "Component";
    const PLURAL: &'static str = "components";
    const HAS_AUTH: bool = true;
    const DESCRIPTION: &'static str =
        "A building-block instance: what serves it, its settings, and the apps that may use it.";
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
