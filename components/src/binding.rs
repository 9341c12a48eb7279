//! The bindings block: events of systems outside that come to the application, and operations on them that it asks for.
//!
//! A component serves one direction or both. Like a subscription, what reads events is a future that reads while it is
//! polled; it has no tasks.

mod data;
mod timing;

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::RequestMetadata;
pub use crate::pubsub::Unhandled;
pub use data::unquoted;
pub use timing::Timing;

/// The directions of one component.
#[derive(Clone, Default)]
pub struct Binding {
    /// Brings events.
    pub input: Option<Arc<dyn InputBinding>>,
    /// Does what it is asked.
    pub output: Option<Arc<dyn OutputBinding>>,
}

/// An operation that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invocation {
    /// Such as `create`; one of [`OutputBinding::operations`].
    pub operation: String,
    /// What it is about.
    pub data: Bytes,
    /// What the application adds. Keys are case-sensitive.
    pub metadata: RequestMetadata,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// What came back; `None` is told from nothing at all.
    pub data: Option<Bytes>,
    /// What the system says beside.
    pub metadata: RequestMetadata,
    /// Of `data`, where one is known.
    pub content_type: Option<String>,
}

/// Failures of a binding, named for what a caller can do about them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// The request itself is wrong: do not retry.
    #[error("{0}")]
    InvalidRequest(String),
    /// The system refuses, and this is what it says.
    #[error("{error}")]
    Refused {
        /// Why.
        error: String,
        /// Its answer.
        reply: Box<Reply>,
    },
    /// The system cannot be reached or did not answer in time: a retry may succeed, and what was asked for may have
    /// happened.
    #[error("{0}")]
    Unavailable(String),
}

/// Does what it is asked.
#[async_trait]
pub trait OutputBinding: Send + Sync {
    /// What it can be asked for.
    fn operations(&self) -> Vec<String>;

    /// Does one of its operations; others have been refused before.
    ///
    /// # Errors
    /// Nobody knows whether it was done, unless the error says otherwise.
    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError>;

    /// Releases connections.
    async fn close(&self) {}
}

/// An event of the system outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// What it says.
    pub data: Bytes,
    /// What the system says beside.
    pub metadata: RequestMetadata,
    /// Of `data`, where one is known.
    pub content_type: Option<String>,
}

/// Whom events are handed to.
#[async_trait]
pub trait EventHandler: Send + Sync {
    /// Takes one event; gives what the application answers.
    ///
    /// # Errors
    /// The event was not taken and must not be acknowledged.
    async fn handle(&self, event: Event) -> Result<Option<Bytes>, Unhandled>;
}

/// Reads events for as long as it is polled. It heals by itself when the system comes back, ends well once it is stopped,
/// and with an error only if it never can go on.
pub type Reading = Pin<Box<dyn Future<Output = Result<(), BindingError>> + Send>>;

/// Brings events.
#[async_trait]
pub trait InputBinding: Send + Sync {
    /// Begins to read. Once `stop` is cancelled the reading takes nothing new, waits for what is being handled, settles
    /// it, and ends.
    ///
    /// # Errors
    /// It cannot begin.
    async fn read(
        &self,
        handler: Arc<dyn EventHandler>,
        stop: CancellationToken,
    ) -> Result<Reading, BindingError>;

    /// Releases connections. The reading has been stopped or dropped before.
    async fn close(&self) {}
}

impl Binding {
    /// The capabilities that the metadata API lists, in upstream's spelling.
    #[must_use]
    pub fn capabilities(&self) -> Vec<&'static str> {
        [
            ("INPUT_BINDING", self.input.is_some()),
            ("OUTPUT_BINDING", self.output.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, present)| present.then_some(name))
        .collect()
    }

    /// Releases what both directions hold.
    pub async fn close(&self) {
        if let Some(input) = &self.input {
            input.close().await;
        }
        if let Some(output) = &self.output {
            output.close().await;
        }
    }
}
