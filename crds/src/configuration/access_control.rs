//! Which apps may call this app, and with what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{non_empty, null_as_default};

/// Which apps may call this app, and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessControlSpec {
    /// `allow` or `deny` for a call that no policy covers. Default: `allow`.
    #[serde(skip_serializing_if = "says_nothing")]
    pub default_action: Option<String>,
    /// Trust domain of this app's own identity. Default: `public`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub trust_domain: Option<String>,
    /// One policy per calling app.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub policies: Vec<AppPolicySpec>,
}

/// What one app may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AppPolicySpec {
    /// App id of the caller.
    #[serde(deserialize_with = "null_as_default")]
    pub app_id: String,
    /// `allow` or `deny` for an operation that is not listed.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub default_action: Option<String>,
    /// Trust domain of the caller.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub trust_domain: Option<String>,
    /// Namespace of the caller.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespace: Option<String>,
    /// Operations with an action of their own.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub operations: Vec<AppOperationAction>,
}

/// Action for one operation of the app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AppOperationAction {
    /// Path pattern of the operation.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// `allow` or `deny`.
    #[serde(deserialize_with = "null_as_default")]
    pub action: String,
    /// HTTP verbs this holds for; `*` means all.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub http_verb: Vec<String>,
}

/// Upstream's programs leave an empty text out when they write.
fn says_nothing(text: &Option<String>) -> bool {
    text.as_deref().unwrap_or_default().is_empty()
}
