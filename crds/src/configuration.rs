//! `Configuration`: settings of sidecars, and, as `daprsystem`, of the control plane.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::Resource;
use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::definition::object_metadata;
use crate::lenient::{non_empty, null_as_default};
use crate::value::any_object;
use crate::{API_VERSION_V1ALPHA1, GROUP, V1ALPHA1};

use access_control::AccessControlSpec;
use metrics::MetricSpec;
use mtls::MtlsSpec;
use pipeline::PipelineSpec;
use tracing::TracingSpec;
use workflow::WorkflowSpec;

pub(crate) mod access_control;
pub(crate) mod metrics;
pub(crate) mod mtls;
pub(crate) mod pipeline;
pub(crate) mod tracing;
pub(crate) mod workflow;

/// Settings of the sidecars whose pods name this object in `dapr.io/config`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Configuration {
    /// Name, namespace and the rest of the object's metadata.
    #[schemars(schema_with = "object_metadata")]
    pub metadata: ObjectMeta,
    /// The settings; what is unset takes the sidecar's own default.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: ConfigurationSpec,
}

/// Settings of a sidecar; what is unset takes the sidecar's own default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigurationSpec {
    /// Middleware on the way to the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_http_pipeline: Option<PipelineSpec>,
    /// Middleware on the way into the sidecar's HTTP API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_pipeline: Option<PipelineSpec>,
    /// Distributed tracing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<TracingSpec>,
    /// Metrics; any member that `metrics` sets wins over the same member here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = {"enabled": true}))]
    pub metric: Option<MetricSpec>,
    /// Metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = {"enabled": true}))]
    pub metrics: Option<MetricSpec>,
    /// Identity and mutual TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<MtlsSpec>,
    /// Which secrets an app may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsSpec>,
    /// Which apps may call this app, and with what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_control: Option<AccessControlSpec>,
    /// How app ids are turned into addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_resolution: Option<NameResolutionSpec>,
    /// Features switched on or off.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub features: Vec<FeatureSpec>,
    /// Which of the sidecar's APIs the app may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiSpec>,
    /// Which component types may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<ComponentsSpec>,
    /// Logging.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<LoggingSpec>,
    /// WebAssembly components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm: Option<WasmSpec>,
    /// Workflows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowSpec>,
}

/// Which secrets an app may read, store by store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretsSpec {
    /// One entry per secret store; a store that is not listed is open.
    #[serde(deserialize_with = "null_as_default")]
    pub scopes: Vec<SecretsScope>,
}

/// Which secrets of one store an app may read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretsScope {
    /// Name of the secret-store component.
    #[serde(deserialize_with = "null_as_default")]
    pub store_name: String,
    /// `allow` or `deny` for what no list names. Default: `allow`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub default_access: Option<String>,
    /// Secrets that may be read; when not empty, only these.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub allowed_secrets: Vec<String>,
    /// Secrets that may not be read.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub denied_secrets: Vec<String>,
}

/// How app ids are turned into addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NameResolutionSpec {
    /// Type of the name resolver, as `kubernetes`.
    #[serde(deserialize_with = "null_as_default")]
    pub component: String,
    /// Version of the resolver type, as `v1`.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// The resolver's settings, any object.
    #[schemars(schema_with = "any_object")]
    pub configuration: Option<Value>,
}

/// One feature switched on or off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FeatureSpec {
    /// Name of the feature.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Whether it is on; `null` is off.
    pub enabled: Option<bool>,
}

/// Which of the sidecar's APIs the app may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApiSpec {
    /// APIs that may be used; when not empty, only these. Can be used together with `denied`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub allowed: Vec<ApiAccessRule>,
    /// APIs that may not be used. Can be used together with `allowed`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub denied: Vec<ApiAccessRule>,
}

/// Names one API of the sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApiAccessRule {
    /// Name of the API, as `state`.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Version of the API, as `v1.0`.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// `http` or `grpc`; unset means both.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub protocol: Option<String>,
}

/// Which component types may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ComponentsSpec {
    /// Component types that are refused, as `type` or `type/version`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub deny: Vec<String>,
}

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LoggingSpec {
    /// Logging of calls to the sidecar's APIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_logging: Option<ApiLoggingSpec>,
}

/// Logging of calls to the sidecar's APIs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiLoggingSpec {
    /// Whether calls are logged, unless the sidecar's `--enable-api-logging` says otherwise. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether the route is logged in place of the URL, which may hold personal data. HTTP only. Default: false.
    #[serde(rename = "obfuscateURLs", skip_serializing_if = "Option::is_none")]
    pub obfuscate_urls: Option<bool>,
    /// Whether calls of the health endpoints are left out. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omit_health_checks: Option<bool>,
}

/// WebAssembly components.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WasmSpec {
    /// Whether every component runs without clocks and random numbers, whatever it asks for. Default: false.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub strict_sandbox: bool,
}

// === impl Configuration ===

impl Configuration {
    /// A configuration of that name and spec, without namespace.
    pub fn new(name: impl Into<String>, spec: ConfigurationSpec) -> Self {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        };
        Self { metadata, spec }
    }
}

impl Serialize for Configuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Configuration", 4)?;
        object.serialize_field("apiVersion", API_VERSION_V1ALPHA1)?;
        object.serialize_field("kind", "Configuration")?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("spec", &self.spec)?;
        object.end()
    }
}

impl Resource for Configuration {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Configuration".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        V1ALPHA1.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "configurations".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests;
