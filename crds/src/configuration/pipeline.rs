//! Chains of HTTP middleware.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{non_empty, null_as_default};

/// A chain of HTTP middleware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PipelineSpec {
    /// The middleware, outermost first.
    #[serde(deserialize_with = "null_as_default")]
    pub handlers: Vec<HandlerSpec>,
}

/// One middleware of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HandlerSpec {
    /// Name of the middleware component.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Type of the middleware component, as `middleware.http.ratelimit`.
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub type_: String,
    /// Version of the middleware component, as `v1`; unset means `v1`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub version: Option<String>,
    /// Requests it is applied to; unset means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorSpec>,
}

/// Requests a middleware is applied to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelectorSpec {
    /// Fields that have to match.
    #[serde(deserialize_with = "null_as_default")]
    pub fields: Vec<SelectorField>,
}

/// A field and the value it has to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelectorField {
    /// Name of the field.
    #[serde(deserialize_with = "null_as_default")]
    pub field: String,
    /// Value it has to have.
    #[serde(deserialize_with = "null_as_default")]
    pub value: String,
}
