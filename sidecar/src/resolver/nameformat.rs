//! By an address written once for all applications.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use trilby_components::name_resolution::{NameResolver, Query, ResolveError, decode};
use trilby_components::registry::InitError;

/// What stands for the application.
const PLACEHOLDER: &str = "{appid}";

/// The settings of the component.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    /// An address with `{appid}` in it.
    format: String,
}

/// Writes the application's id into an address.
#[derive(Debug)]
pub struct NameFormatResolver {
    format: String,
}

impl NameFormatResolver {
    /// From the component's settings.
    ///
    /// # Errors
    /// `format` is missing, or has no place for the application's id.
    pub fn new(settings: Value) -> Result<Self, InitError> {
        let Settings { format } = decode("nameformat", settings)?;
        if format.is_empty() {
            return Err(invalid("format is required in metadata"));
        }
        if !format.contains(PLACEHOLDER) {
            return Err(invalid("format must contain {appid} placeholder"));
        }
        Ok(Self { format })
    }
}

fn invalid(reason: &str) -> InitError {
    InitError::Invalid(reason.to_owned())
}

#[async_trait]
impl NameResolver for NameFormatResolver {
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError> {
        Ok(self.format.replace(PLACEHOLDER, query.app_id))
    }
}
