//! Distributed tracing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{non_empty, null_as_default};
use crate::value::NameValuePair;

/// Distributed tracing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TracingSpec {
    /// Share of calls that are traced, from `"0"` to `"1"`.
    #[serde(deserialize_with = "null_as_default")]
    pub sampling_rate: String,
    /// Whether traces are written to standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<bool>,
    /// Export to Zipkin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zipkin: Option<ZipkinSpec>,
    /// Export over OTLP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel: Option<OtelSpec>,
}

/// Export of traces to Zipkin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ZipkinSpec {
    /// URL that takes the spans.
    #[serde(deserialize_with = "null_as_default")]
    pub endpoint_address: String,
}

/// Export of traces over OTLP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OtelSpec {
    /// `grpc` or `http`.
    #[serde(deserialize_with = "null_as_default")]
    pub protocol: String,
    /// Host and port that take the spans.
    #[serde(deserialize_with = "null_as_default")]
    pub endpoint_address: String,
    /// Whether the connection uses TLS; `null` means true.
    pub is_secure: Option<bool>,
    /// Headers of the export request. A reference to a secret must name its key.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub headers: Vec<NameValuePair>,
    /// Time an export request may take, as a Go duration.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<String>,
}
