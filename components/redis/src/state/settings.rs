//! The metadata of `state.redis` beyond its connection.

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{metadata::Schema, registry::InitError};

/// Metadata of the state store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Expiry of values that are written without one, in seconds; zero and less for none. Default: none.
    pub(super) ttl_in_seconds: Option<i32>,
    /// Indexes for the query API, as a JSON array.
    #[schemars(extend("effect" = "refused"))]
    query_indexes: Option<String>,
}

impl Schema for Settings {}

impl Settings {
    pub(super) fn refuse_what_is_not_there_yet(&self) -> Result<(), InitError> {
        match self.query_indexes {
            Some(_) => Err(InitError::Invalid(
                "redis store: queries (queryIndexes): not there yet in this sidecar".into(),
            )),
            None => Ok(()),
        }
    }
}
