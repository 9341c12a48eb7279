//! Puts the values of secrets where resources refer to them.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{SecretValue, object::Object};

/// The secret store that is resolved here; any other is asked by the sidecar itself.
const KUBERNETES: &str = "kubernetes";

/// Whether the store of that name is Kubernetes' own.
pub(super) fn is_kubernetes(store: &str) -> bool {
    store.is_empty() || store == KUBERNETES
}

/// The value in base64, or none.
pub(super) fn value(item: &mut Object<'_>, value: &SecretValue<'_>) -> serde_json::Result<()> {
    match value {
        SecretValue::Found(value) => item.set("value", &STANDARD.encode(value)),
        SecretValue::NoKey | SecretValue::NoSecret => item.set("value", &Value::Null),
    }
}
