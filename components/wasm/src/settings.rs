//! The component's metadata, and where the guest comes from.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{MetadataError, Schema};
use trilby_components::registry::InitError;
use trilby_https::{Client, Limits};

/// For a guest on the web.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    size: 64 << 20,
};

/// The metadata of `wasm`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Where the guest is: `file://` with a path, `http://` or `https://`.
    url: String,
    /// Handed to the guest as it is.
    #[serde(default)]
    pub(crate) guest_config: String,
    /// Whether the guest sees no true time and no true random numbers.
    #[serde(default)]
    pub(crate) strict_sandbox: bool,
}

impl Schema for Settings {}

impl Settings {
    /// Gets the guest's binary.
    pub(crate) async fn guest(&self) -> Result<Vec<u8>, InitError> {
        let invalid = |reason: &str| InitError::from(MetadataError::invalid("url", reason));
        let Some((scheme, rest)) = self.url.split_once(':') else {
            return Err(invalid("expected file://, http:// or https://"));
        };
        match scheme {
            "file" => read(rest.strip_prefix("//").unwrap_or(rest)).await,
            "http" | "https" => fetch(&self.url).await,
            "oci" => Err(invalid("images of registries (oci://) are not there yet")),
            _ => Err(invalid("expected file://, http:// or https://")),
        }
    }
}

async fn read(path: &str) -> Result<Vec<u8>, InitError> {
    let guest = tokio::fs::read(path).await;
    guest.map_err(|error| InitError::Invalid(format!("metadata property url: {path}: {error}")))
}

async fn fetch(url: &str) -> Result<Vec<u8>, InitError> {
    let unavailable = |reason: String| InitError::Unavailable(format!("{url}: {reason}"));
    let client = Client::new().map_err(|error| unavailable(error.to_string()))?;
    let answer = client.get(url, LIMITS).await;
    let answer = answer.map_err(|error| unavailable(error.to_string()))?;
    if answer.status() != http::StatusCode::OK {
        let status = answer.status().as_u16();
        return Err(unavailable(format!("received {status} status code")));
    }
    Ok(answer.into_body().into())
}
