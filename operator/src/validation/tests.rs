mod component;
mod kinds;
mod review;

use serde_json::{Value, json};

use super::{Facts, Finding, Severity, findings};

fn with(facts: &Facts, kind: &str, object: &Value) -> Vec<Finding> {
    findings(kind, object, facts).expect("a kind of ours")
}

/// What is said of an object, as one text a finding: `!` before errors.
fn said(facts: &Facts, kind: &str, object: &Value) -> Vec<String> {
    let found = with(facts, kind, object).into_iter();
    found
        .map(|finding| match finding.severity {
            Severity::Error => format!("!{finding}"),
            Severity::Notice => finding.to_string(),
        })
        .collect()
}

fn component(type_name: &str, metadata: Value) -> Value {
    json!({"metadata": {"name": "store"}, "spec": {"type": type_name, "version": "v1", "metadata": metadata}})
}

fn redis(metadata: Value) -> Value {
    let mut all = vec![json!({"name": "redisHost", "value": "redis:6379"})];
    all.extend(metadata.as_array().expect("a list").iter().cloned());
    component("state.redis", all.into())
}
