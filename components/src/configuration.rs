//! The configuration block: items of an application's configuration, read by key and followed as they change.
//!
//! A store has no tasks. What follows changes is a stream that works while it is polled, over a connection of its own:
//! a reader that is slow holds up the store, never this process's memory, and dropping the stream ends the subscription.

use std::collections::BTreeMap;
use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;

use crate::RequestMetadata;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Item {
    /// The value. An item that is gone has none.
    pub value: String,
    /// Its version; empty where the store knows none.
    pub version: String,
    /// What the store says beside.
    pub metadata: BTreeMap<String, String>,
}

/// Items by key.
pub type Items = BTreeMap<String, Item>;

/// What is read, or followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The keys; none for all that there are.
    pub keys: Vec<String>,
    /// What the application adds for the store.
    pub metadata: RequestMetadata,
}

impl Selection {
    /// Whether it is about this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.is_empty() || self.keys.iter().any(|one| one == key)
    }
}

/// What happened to a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These items are as they stand here now.
    Items(Items),
    /// The store was away and is back: whatever changed meanwhile was not seen. To read again tells it.
    Missed,
}

/// How a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// A new one. A store that tells new subscribers what there is does so.
    New,
    /// It goes on where another one of the same selection ended: changes only.
    Continued,
}

/// The changes of a selection, for as long as it is polled. It heals by itself when the store comes back, and ends only
/// if it never can.
pub type Changes = Pin<Box<dyn Stream<Item = Change> + Send>>;

/// Failures of a configuration store, named for what a caller can do about them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// The request itself is wrong: do not retry.
    #[error("{0}")]
    InvalidRequest(String),
    /// The store refuses, or keeps something that is no configuration.
    #[error("{0}")]
    Store(String),
    /// The store cannot be reached or did not answer: a retry may succeed.
    #[error("{0}")]
    Unavailable(String),
}

/// A store of configuration.
#[async_trait]
pub trait ConfigurationStore: Send + Sync {
    /// Reads the items of a selection that are there.
    async fn get(&self, selection: &Selection) -> Result<Items, ConfigurationError>;

    /// Follows a selection: every change that is made after this has returned is told.
    async fn subscribe(
        &self,
        selection: &Selection,
        beginning: Beginning,
    ) -> Result<Changes, ConfigurationError>;

    /// The capabilities that the metadata API lists, in upstream's spelling.
    fn capabilities(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Releases connections. Subscriptions have their own, which end with them.
    async fn close(&self) {}
}
