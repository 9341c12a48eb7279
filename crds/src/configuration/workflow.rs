//! Limits and retention of workflows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{non_empty, null_as_default};

/// Limits and retention of workflows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkflowSpec {
    /// Workflows that one sidecar runs at a time; more wait. Unset: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_workflow_invocations: Option<i32>,
    /// Activities that one sidecar runs at a time; more wait. Unset: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_activity_invocations: Option<i32>,
    /// Workflows that all replicas together run at a time, enforced by the scheduler. Unset: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_max_concurrent_workflow_invocations: Option<i32>,
    /// Activities that all replicas together run at a time, enforced by the scheduler. Unset: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_max_concurrent_activity_invocations: Option<i32>,
    /// Limits by workflow name over all replicas, enforced by the scheduler.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub workflow_concurrency_limits: Vec<NamedConcurrencyLimit>,
    /// Limits by activity name over all replicas, enforced by the scheduler.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub activity_concurrency_limits: Vec<NamedConcurrencyLimit>,
    /// When the state of an ended workflow is purged. Unset: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_retention_policy: Option<WorkflowStateRetentionPolicy>,
}

/// Limit for one workflow or activity name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NamedConcurrencyLimit {
    /// Name of the workflow or activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many all replicas together run at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<i32>,
}

/// When the state of an ended workflow is purged, by how it ended. A specific one wins over `anyTerminal`; `0s` means
/// at once, unset means never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkflowStateRetentionPolicy {
    /// Time after any end, as a Go duration.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub any_terminal: Option<String>,
    /// Time after completion, as a Go duration.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub completed: Option<String>,
    /// Time after failure, as a Go duration.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub failed: Option<String>,
    /// Time after termination, as a Go duration.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub terminated: Option<String>,
}
