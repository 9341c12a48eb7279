//! The component's metadata.

use http::{HeaderName, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{MetadataError, Schema};

/// The metadata of `opa`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The policy: a module whose `data.http.allow` decides.
    pub(crate) rego: String,
    /// The status of refused requests, and of those that the policy fails on; 100 to 599.
    #[serde(default = "forbidden")]
    default_status: i64,
    /// Headers that the policy sees, separated by commas.
    #[serde(default)]
    included_headers: String,
    /// Whether the policy sees bodies; they are then read to their end before anything else happens.
    #[serde(default)]
    pub(crate) read_body: bool,
}

fn forbidden() -> i64 {
    403
}

impl Schema for Settings {}

impl Settings {
    pub(crate) fn default_status(&self) -> Result<StatusCode, MetadataError> {
        status(self.default_status).ok_or_else(|| {
            MetadataError::invalid("defaultStatus", "expected a status from 100 to 599")
        })
    }

    /// What cannot be a header's name is in no request.
    pub(crate) fn included_headers(&self) -> Vec<HeaderName> {
        let names = self.included_headers.split(',');
        names
            .filter_map(|name| HeaderName::try_from(name.replace(' ', "")).ok())
            .collect()
    }
}

/// A status that a response can have.
pub(crate) fn status(number: i64) -> Option<StatusCode> {
    let number = u16::try_from(number)
        .ok()
        .filter(|number| (100..600).contains(number))?;
    StatusCode::from_u16(number).ok()
}
