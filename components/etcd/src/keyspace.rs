//! The keys of one component: those of a cluster that begin with its prefix.

use bytes::Bytes;
use trilby_components::registry::InitError;
use trilby_components::state::StateError;

use crate::link::Link;
use crate::settings::Properties;
use crate::wire::{KeyValue, RangeRequest};

/// A part of a cluster's keys, and the way to it.
#[derive(Debug)]
pub(crate) struct Keyspace {
    pub(crate) link: Link,
    /// What every key begins with.
    pub(crate) prefix: String,
}

impl Keyspace {
    /// Connects, and reads a key.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when no member can be reached or it refuses, else what is wrong with the metadata.
    pub(crate) async fn connect(properties: &Properties) -> Result<Self, InitError> {
        let keyspace = Self {
            link: Link::new(properties.endpoints()?),
            prefix: properties.prefix(),
        };
        // Which one does not matter: this is upstream's.
        let greeted = keyspace.read("health").await;
        greeted.map_err(|error| InitError::Unavailable(error.to_string()))?;
        Ok(keyspace)
    }

    /// Where `key` is.
    pub(crate) fn path(&self, key: &str) -> Bytes {
        format!("{}{key}", self.prefix).into()
    }

    /// What is at `key`.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<KeyValue>, StateError> {
        let range = RangeRequest {
            key: self.path(key),
            ..RangeRequest::default()
        };
        let found = self.link.call(range).await?;
        Ok(found.kvs.into_iter().next())
    }
}
