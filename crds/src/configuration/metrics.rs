//! Metrics of a sidecar.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{non_empty, null_as_default};

/// Metrics of a sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricSpec {
    /// Whether metrics are served; `null` means true.
    pub enabled: Option<bool>,
    /// Whether error codes are counted. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_error_codes: Option<bool>,
    /// Metrics of the HTTP server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<MetricHttp>,
    /// Rewriting of label values.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub rules: Vec<MetricsRule>,
    /// Upper bounds of latency histograms, in milliseconds. Unset or empty: 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25,
    /// 30, 40, 50, 65, 80, 100, 130, 160, 200, 250, 300, 400, 500, 650, 800, 1000, 2000, 5000, 10000, 20000, 50000,
    /// 100000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_distribution_buckets: Option<Vec<i64>>,
    /// Metrics of workflows and activities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowMetrics>,
}

/// Metrics of the HTTP server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricHttp {
    /// Whether each path counts apart. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increased_cardinality: Option<bool>,
    /// Path patterns that count apart when cardinality is low.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub path_matching: Vec<String>,
    /// Whether verbs are left out. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_verbs: Option<bool>,
}

/// Metrics of workflows and activities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkflowMetrics {
    /// Upper bounds of the workflow and activity histograms, in `latencyDistributionUnits`. Unset or empty: those of
    /// the other latency histograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_distribution_buckets: Option<Vec<i64>>,
    /// Unit of the bounds, as a Go duration (`1ms`, `1s`). Default: `1ms`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub latency_distribution_units: Option<String>,
}

/// Rewriting of the labels of one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetricsRule {
    /// Name of the metric.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Labels to rewrite.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: Vec<MetricLabel>,
}

/// Rewriting of one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetricLabel {
    /// Name of the label.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// New value to the regular expression of the values it replaces.
    #[serde(deserialize_with = "null_as_default")]
    pub regex: BTreeMap<String, String>,
}
