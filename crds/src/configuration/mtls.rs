//! Identity and mutual TLS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lenient::{non_empty, null_as_default};
use crate::value::any_object;

/// Identity and mutual TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MtlsSpec {
    /// Whether sidecars talk to each other over mutual TLS; `null` means true.
    pub enabled: Option<bool>,
    /// Life of a workload certificate, as a Go duration. Default: `24h`.
    #[serde(
        rename = "workloadCertTTL",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub workload_cert_ttl: Option<String>,
    /// How far clocks may be apart, as a Go duration. Default: `15m`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub allowed_clock_skew: Option<String>,
    /// Host and port of sentry.
    #[serde(deserialize_with = "null_as_default")]
    pub sentry_address: String,
    /// Trust domain of the control plane's identities.
    #[serde(deserialize_with = "null_as_default")]
    pub control_plane_trust_domain: String,
    /// Token validators beside the one that the mode brings. On Kubernetes they are added to `kubernetes`; elsewhere
    /// any of them takes the place of `insecure`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub token_validators: Vec<ValidatorSpec>,
}

/// One token validator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ValidatorSpec {
    /// Name of the validator.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(extend("enum" = ["jwks"]))]
    pub name: String,
    /// The validator's settings, any object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub options: Option<Value>,
}

// === impl MtlsSpec ===

impl MtlsSpec {
    /// Whether sidecars talk to each other over mutual TLS.
    pub fn enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }
}
