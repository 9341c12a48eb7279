//! The pub/sub block: messages by topic, from publishers to subscribers that acknowledge them.
//!
//! A broker takes and gives bytes; what they mean (CloudEvents, content types, routes) is the sidecar's. It has no tasks:
//! a subscription is a future that consumes while it is polled, and hands each message to a [`Handler`]. How many it
//! hands over at once, and in which order, is the broker's to say; that a message whose handling failed is not
//! acknowledged holds for all of them.

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::RequestMetadata;

/// How many messages of one bulk publication are under way at once where the broker has no bulk call of its own: as
/// many as upstream's.
pub const MAX_PARALLELISM: usize = 100;

/// What a broker does that the sidecar need not do for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// It expires messages itself, by the metadata `ttlInSeconds` of each.
    MessageTtl,
    /// A subscription's topic may be a pattern.
    SubscribeWildcards,
    /// A subscription that asks for batches gets them from the broker ([`SubscribeRequest::batches`]).
    BulkSubscribe,
    /// Batches that the sidecar makes are not to be waited for: the broker has nothing further while one is open.
    BulkSubscribeImmediate,
}

/// A message, on its way in or out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The topic as the broker has it: where it is published, or which of a pattern's it came from.
    pub topic: String,
    /// What it says.
    pub data: Bytes,
    /// The content type of `data`, where one is known.
    pub content_type: Option<String>,
    /// What publishers add for the broker, and brokers for subscribers.
    pub metadata: RequestMetadata,
}

/// Batches instead of single messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// The most messages of one, at least 1. `None`: as the broker likes.
    pub max_messages: Option<usize>,
    /// How long one may wait to be filled. `None`: as the broker likes.
    pub max_wait: Option<Duration>,
}

/// A wish to consume a topic.
#[derive(Debug, Clone, Default)]
pub struct SubscribeRequest {
    /// The topic as the broker has it.
    pub topic: String,
    /// What the subscription says for the broker.
    pub metadata: RequestMetadata,
    /// Hands over with [`Handler::handle_batch`]; only asked of a broker with [`Feature::BulkSubscribe`].
    pub batches: Option<Batches>,
    /// Once cancelled, the consumption takes nothing new, waits for what is being handled, settles it, and ends.
    pub stop: CancellationToken,
}

/// A message was not taken: it has to come again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unhandled(pub String);

/// Whom messages are handed to.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Takes one message. A broker may drop the future when a message takes longer than it allows: it counts as
    /// unhandled.
    ///
    /// # Errors
    /// The message was not taken and must not be acknowledged.
    async fn handle(&self, message: Message) -> Result<(), Unhandled>;

    /// Takes several messages of one topic; results come in their order, one for each.
    async fn handle_batch(&self, messages: Vec<Message>) -> Vec<Result<(), Unhandled>> {
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            results.push(self.handle(message).await);
        }
        results
    }
}

/// A subscription that consumes for as long as it is polled. It heals by itself when the broker comes back. It ends well
/// once it is stopped, and with an error only if it never can go on. What is being handled when it is dropped is not
/// acknowledged.
pub type Consumption = Pin<Box<dyn Future<Output = Result<(), PubSubError>> + Send>>;

/// Failures of a broker, named for what a caller can do about them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PubSubError {
    /// The request itself is wrong: do not retry.
    #[error("{0}")]
    InvalidRequest(String),
    /// The broker refuses.
    #[error("{0}")]
    Broker(String),
    /// The broker cannot be reached or did not answer in time: a retry may succeed, and what was published may be there.
    #[error("{0}")]
    Unavailable(String),
}

/// A broker.
#[async_trait]
pub trait PubSub: Send + Sync {
    /// What the broker does that the sidecar need not do for it.
    fn features(&self) -> &[Feature] {
        &[]
    }

    /// Publishes a message; returns once the broker has it, as far as the broker says so.
    ///
    /// # Errors
    /// Nobody knows whether the message is published, unless the error says otherwise.
    async fn publish(&self, message: Message) -> Result<(), PubSubError>;

    /// Publishes messages of one topic. Results come in their order, one for each.
    async fn bulk_publish(&self, messages: Vec<Message>) -> Vec<Result<(), PubSubError>> {
        stream::iter(messages)
            .map(async |message| self.publish(message).await)
            .buffered(MAX_PARALLELISM)
            .collect()
            .await
    }

    /// Subscribes: what is published after this has returned reaches the handler.
    ///
    /// # Errors
    /// The subscription cannot begin.
    async fn subscribe(
        &self,
        request: SubscribeRequest,
        handler: Arc<dyn Handler>,
    ) -> Result<Consumption, PubSubError>;

    /// Releases connections. Subscriptions have been stopped or dropped before.
    async fn close(&self) {}
}

impl dyn PubSub + '_ {
    /// Whether the broker has `feature`.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features().contains(&feature)
    }

    /// The capabilities that the metadata API lists, in upstream's spelling.
    #[must_use]
    pub fn capabilities(&self) -> Vec<&'static str> {
        [
            ("MESSAGE_TTL", Feature::MessageTtl),
            ("SUBSCRIBE_WILDCARDS", Feature::SubscribeWildcards),
            ("BULK_SUBSCRIBE_IMMEDIATE", Feature::BulkSubscribeImmediate),
        ]
        .into_iter()
        .filter_map(|(name, feature)| self.has(feature).then_some(name))
        .collect()
    }
}
