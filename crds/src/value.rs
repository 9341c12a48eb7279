//! Name/value pairs whose value stands inline, in a secret, or in the environment.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lenient::{non_empty, null_as_default};

/// A name and its value, which is given inline, by a reference to a secret, or by an environment variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NameValuePair {
    /// Name of the property.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Value of the property, in plain text: any JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_json")]
    pub value: Option<Value>,
    /// Where in the secret store the value is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Environment variable of the sidecar that holds the value; used only when `value` is empty.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub env_ref: Option<String>,
}

/// Names one value in a secret store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretKeyRef {
    /// Name of the secret.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Key inside the secret; unset means the secret's own name.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub key: Option<String>,
}

// === impl NameValuePair ===

impl NameValuePair {
    /// The reference to a secret, if this pair really has one: upstream writes an empty reference for "none".
    pub fn secret(&self) -> Option<&SecretKeyRef> {
        self.secret_key_ref
            .as_ref()
            .filter(|secret| !secret.name.is_empty())
    }

    /// The inline value as a component reads it: a string as it is, nothing for `null`, other JSON as its compact text.
    pub fn text(&self) -> Cow<'_, str> {
        text_of(self.value.as_ref())
    }
}

// === impl SecretKeyRef ===

impl SecretKeyRef {
    /// The key to read inside the secret: the given one, else the secret's own name.
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.name)
    }
}

/// JSON as a setting: a string as it is, nothing for `null`, other JSON as its compact text.
pub(crate) fn text_of(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(other) => Cow::Owned(other.to_string()),
    }
}

/// Any JSON value, kept as it is.
pub(crate) fn any_json(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// Any JSON object, kept as it is.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(json: &str) -> NameValuePair {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn text_of_a_string_is_the_string_itself() {
        assert_eq!(pair(r#"{"name":"n","value":"a \"b\""}"#).text(), "a \"b\"");
    }

    #[test]
    fn text_of_other_json_is_its_compact_form() {
        assert_eq!(pair(r#"{"name":"n","value":6}"#).text(), "6");
        assert_eq!(pair(r#"{"name":"n","value":true}"#).text(), "true");
        assert_eq!(
            pair(r#"{"name":"n","value":{"a": [1, null]}}"#).text(),
            r#"{"a":[1,null]}"#
        );
    }

    #[test]
    fn text_of_null_and_of_nothing_is_empty() {
        assert_eq!(pair(r#"{"name":"n","value":null}"#).text(), "");
        assert_eq!(pair(r#"{"name":"n"}"#).text(), "");
    }

    #[test]
    fn an_empty_secret_reference_is_none() {
        let written_by_upstream = r#"{"name":"n","value":1,"secretKeyRef":{"name":"","key":""}}"#;
        assert_eq!(pair(written_by_upstream).secret(), None);
    }

    #[test]
    fn a_secret_without_key_is_read_at_its_own_name() {
        let pair = pair(r#"{"name":"n","secretKeyRef":{"name":"redis","key":""}}"#);
        assert_eq!(pair.secret().unwrap().key(), "redis");
    }
}
