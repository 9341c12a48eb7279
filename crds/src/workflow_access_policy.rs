//! `WorkflowAccessPolicy`: which apps may do what to the workflows of which others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::null_as_default;
use crate::object::{Object, Spec};

/// Which apps may do what to the workflows of the apps in its scopes.
pub type WorkflowAccessPolicy = Object<WorkflowAccessPolicySpec>;

/// What is allowed; what no rule allows is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkflowAccessPolicySpec {
    /// What is allowed.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub rules: Vec<WorkflowAccessRuleSpec>,
}

/// What some callers may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": "at least one of workflows or activities must contain a rule",
    "rule": "(has(self.workflows) && size(self.workflows) > 0) || (has(self.activities) && size(self.activities) > 0)",
}]))]
pub struct WorkflowAccessRuleSpec {
    /// The callers.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub callers: Vec<WorkflowCallerSpec>,
    /// Workflows that they may use.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub workflows: Vec<WorkflowRuleSpec>,
    /// Activities that they may schedule.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub activities: Vec<ActivityRuleSpec>,
}

/// A calling app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkflowCallerSpec {
    /// Its app id.
    #[serde(rename = "appID", deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub app_id: String,
}

/// Some workflows and what may be done to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkflowRuleSpec {
    /// Name of the workflow, exact or as a glob.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub name: String,
    /// What may be done.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1), extend("x-kubernetes-list-type" = "set"))]
    pub operations: Vec<WorkflowOperation>,
}

/// Something that can be done to a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkflowOperation {
    /// Start one.
    Schedule,
    /// End one before its time.
    Terminate,
    /// Send one an event.
    Raise,
    /// Halt one.
    Pause,
    /// Let a halted one go on.
    Resume,
    /// Remove what is left of one.
    Purge,
    /// Read its state.
    Get,
    /// Run a part of one again.
    Rerun,
}

/// Some activities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActivityRuleSpec {
    /// Name of the activity, exact or as a glob.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub name: String,
}

// === impl WorkflowAccessPolicySpec ===

impl Spec for WorkflowAccessPolicySpec {
    const KIND: &'static str = "WorkflowAccessPolicy";
    const PLURAL: &'static str = "workflowaccesspolicies";
    const DESCRIPTION: &'static str =
        "Which apps may do what to the workflows of the apps in its scopes.";
}

// === impl WorkflowOperation ===

/// Plain names: a derived schema would describe each of them in a branch of its own, which the API server refuses.
impl JsonSchema for WorkflowOperation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WorkflowOperation".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "enum": ["schedule", "terminate", "raise", "pause", "resume", "purge", "get", "rerun"],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_full_policy_survives_a_round_trip() {
        let written = json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "WorkflowAccessPolicy",
            "metadata": {"name": "p"},
            "spec": {"rules": [{
                "callers": [{"appID": "c"}],
                "workflows": [{"name": "order-*", "operations": [
                    "schedule", "terminate", "raise", "pause", "resume", "purge", "get", "rerun",
                ]}],
                "activities": [{"name": "charge"}],
            }]},
            "scopes": ["a"],
        });
        let decoded: WorkflowAccessPolicy = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), written);
    }

    #[test]
    fn an_operation_that_is_none_is_an_error_that_names_it() {
        let error = serde_json::from_value::<WorkflowAccessPolicySpec>(json!({
            "rules": [{"callers": [{"appID": "c"}], "workflows": [{"name": "w", "operations": ["look"]}]}],
        }))
        .unwrap_err();
        assert!(error.to_string().contains("look"), "{error}");
    }
}
