//! `status` of every resource: what the control plane and the sidecars make of it. The operator writes it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceStatus {
    /// Version of the resource that this is about.
    pub observed_generation: i64,
    /// Whether it can be used, and whether it is.
    pub conditions: Vec<Condition>,
    /// How many sidecars have loaded it, of how many that should, as `2/3`. Sidecars that do not report are not counted.
    pub sidecars: String,
    /// Sidecars that should load it.
    pub expected: i32,
    /// Sidecars that have loaded it.
    pub loaded: i32,
    /// Sidecars that cannot load it.
    pub failed: i32,
    /// The same by app; apps where it fails come first, and at most 100 are listed.
    pub apps: Vec<AppStatus>,
}

/// What became of the resource in the sidecars of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AppStatus {
    /// The app's id.
    pub app_id: String,
    /// Its sidecars that should load it.
    pub expected: i32,
    /// Its sidecars that have loaded it.
    pub loaded: i32,
    /// Its sidecars that cannot load it.
    pub failed: i32,
    /// Why one of them cannot.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
}

/// One thing that is true of the resource, or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Accepted`: the control plane can serve it. `Loaded`: it is in force in every sidecar that should load it.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub type_: ConditionType,
    /// `True`, `False` or `Unknown`.
    #[schemars(with = "String")]
    pub status: Truth,
    /// Why, for programs.
    #[schemars(with = "String")]
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
    /// When `status` changed last.
    pub last_transition_time: Time,
    /// Version of the resource that this is about.
    pub observed_generation: i64,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionType {
    /// The control plane can serve it.
    Accepted,
    /// It is in force in every sidecar that should load it.
    Loaded,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody knows, or not yet.
    Unknown,
}

/// Why a condition holds or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The control plane serves it.
    Accepted,
    /// It is not a resource of its kind.
    Undecodable,
    /// A secret that it refers to cannot be read.
    SecretUnreadable,
    /// Every sidecar that should has loaded it.
    Loaded,
    /// At least one sidecar cannot load it.
    Failed,
    /// Some sidecars have not taken up this version yet.
    Pending,
    /// No sidecar that reports should load it.
    NoSidecars,
}

impl ResourceStatus {
    /// The condition of that type.
    #[must_use]
    pub fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    }
}

#[cfg(test)]
mod tests {
    use super::ResourceStatus;

    #[test]
    fn it_reads_what_it_writes() {
        let text = r#"{"observedGeneration":3,"conditions":[{"type":"Loaded","status":"False","reason":"Failed",
            "message":"m","lastTransitionTime":"2026-01-02T03:04:05Z","observedGeneration":3}],"sidecars":"1/2",
            "expected":2,"loaded":1,"failed":1,"apps":[{"appId":"cart","expected":2,"loaded":1,"failed":1,
            "lastError":"no host"}]}"#;
        let status: ResourceStatus = serde_json::from_str(text).unwrap();
        let written = serde_json::to_value(&status).unwrap();
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(written, expected);
    }
}
