//! Kinds that refer to no secrets: what the API server sent goes out as it is.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use trilby_crds::{
    GROUP, Object as Custom, ResiliencySpec, Spec, SubscriptionSpec, WorkflowAccessPolicySpec,
};

use super::{Needs, object::Object, scopes};

/// A kind without secrets.
pub(super) trait Plain: Spec + DeserializeOwned {
    /// Members of `spec` that upstream always writes.
    fn defaults() -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

impl Plain for WorkflowAccessPolicySpec {}

impl Plain for ResiliencySpec {
    fn defaults() -> Vec<(&'static str, Value)> {
        vec![("policies", json!({})), ("targets", json!({}))]
    }
}

impl Plain for SubscriptionSpec {
    fn defaults() -> Vec<(&'static str, Value)> {
        vec![
            ("routes", json!({})),
            ("bulkSubscribe", json!({"enabled": false})),
        ]
    }
}

pub(super) fn needs<S: Plain>(text: &str) -> serde_json::Result<Needs> {
    let resource: Custom<S> = serde_json::from_str(text)?;
    Ok(Needs {
        scopes: scopes(resource.scopes),
        ..Needs::default()
    })
}

pub(super) fn render<S: Plain>(text: &str) -> serde_json::Result<String> {
    let mut root = Object::parse(text)?;
    root.set_default("apiVersion", &format!("{GROUP}/{}", S::VERSION))?;
    root.set_default("kind", &S::KIND)?;
    root.set_default("spec", &json!({}))?;
    root.edit("spec", |spec| {
        S::defaults()
            .iter()
            .try_for_each(|(name, value)| spec.set_default(name, value))
    })?;
    serde_json::to_string(&root)
}
