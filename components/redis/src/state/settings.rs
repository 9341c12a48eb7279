//! The metadata of `state.redis` beyond its connection.

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    metadata::{MetadataError, Schema},
    registry::InitError,
};

use super::indexes::{self, Index};
use crate::link::Link;

/// Metadata of the state store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Expiry of values that are written without one, in seconds; zero and less for none. Default: none.
    pub(super) ttl_in_seconds: Option<i32>,
    /// Indexes for the query API, as a JSON array: `[{"name": "people", "indexes": [{"key": "person.id", "type":
    /// "NUMERIC"}]}]`. Types are `TEXT`, `TAG` and `NUMERIC`. The server needs its modules for JSON and search.
    query_indexes: Option<String>,
}

impl Schema for Settings {}

impl Settings {
    /// The indexes to answer queries with.
    ///
    /// # Errors
    /// The setting cannot be read, or is for servers that cannot have any.
    pub(super) fn indexes(&self, link: &Link) -> Result<Vec<Index>, InitError> {
        let Some(text) = self
            .query_indexes
            .as_deref()
            .filter(|text| !text.is_empty())
        else {
            return Ok(Vec::new());
        };
        let refused = |reason: &str| MetadataError::invalid("queryIndexes", reason);
        if link.is_cluster() {
            return Err(
                refused("queries are not there in a cluster: an index is of one server").into(),
            );
        }
        if link.database() != 0 {
            return Err(refused("an index is of database 0 only (redisDB)").into());
        }
        Ok(indexes::parse(text)?)
    }
}
