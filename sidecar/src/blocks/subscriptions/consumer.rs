//! What happens to each message of one subscription.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{debug, error, warn};
use trilby_components::pubsub::{Handler, Message, Unhandled};
use trilby_grpc::Backoff;
use trilby_pubsub::answer::Verdict;
use trilby_pubsub::event::Event;
use trilby_pubsub::subscription::Subscription;
use trilby_pubsub::topic::logical;
use trilby_resiliency::{ComponentKind, Direction, Failure, Policy, Stopped, run};

use super::Parts;
use super::deliver::{Delivered, Receiver};
use crate::blocks::pubsub::Place;
use crate::metrics::Processed;

/// The metadata that names the content type of a message.
const CONTENT_TYPE: &str = "content-type";
/// The metadata that names the component a message came from.
const PUBSUB_NAME: &str = "pubsubName";

mod batch;

/// Judges and delivers the messages of one subscription, whichever component they come from.
pub(super) struct Consumer {
    parts: Parts,
    subscription: ArcSwap<Subscription>,
    receiver: Receiver,
    /// The pause before a message comes again because its dead letter was not taken.
    dead_letters: Mutex<Backoff>,
}

/// A consumer of topics that belong to a namespace, or to none.
struct Within {
    consumer: Arc<Consumer>,
    namespace: Option<String>,
}

/// Why a message was not delivered. (Neither the failure's type nor the policy's is of this crate.)
struct Undelivered(String);

impl From<Stopped> for Undelivered {
    fn from(stopped: Stopped) -> Self {
        Self(stopped.to_string())
    }
}

/// A message that is understood, and where it goes.
pub(super) struct Routed {
    pub(super) event: Event,
    pub(super) path: String,
    pub(super) message: Message,
}

/// A message that is not delivered, and what is to become of it.
enum Undeliverable {
    /// It is nobody's: a dead letter if there is a topic for them, else gone.
    Gone(Box<Message>, Processed),
    /// It cannot be understood: a dead letter if there is a topic for them, else it comes again.
    Bad(Box<Message>, String),
}

impl Consumer {
    pub(super) fn new(parts: Parts, subscription: Arc<Subscription>, receiver: Receiver) -> Self {
        Self {
            parts,
            subscription: ArcSwap::new(subscription),
            receiver,
            dead_letters: Mutex::default(),
        }
    }

    /// The subscription as it stands.
    pub(super) fn subscription(&self) -> Arc<Subscription> {
        self.subscription.load_full()
    }

    /// Judges what comes next by another subscription to the same topic.
    pub(super) fn set(&self, subscription: Arc<Subscription>) {
        self.subscription.store(subscription);
    }

    pub(super) fn is_for_the_application(&self) -> bool {
        matches!(self.receiver, Receiver::App(_))
    }

    /// The handler of topics that belong to a namespace, or to none.
    pub(super) fn within(self: &Arc<Self>, namespace: Option<&str>) -> Arc<dyn Handler> {
        Arc::new(Within {
            consumer: Arc::clone(self),
            namespace: namespace.map(str::to_owned),
        })
    }

    async fn handle(&self, message: Message) -> Result<(), Unhandled> {
        let subscription = self.subscription();
        match self.judge(&subscription, message) {
            Ok(routed) => self.deliver(&subscription, routed).await,
            Err(undeliverable) => self.dispose(&subscription, undeliverable).await,
        }
    }

    /// What is not delivered.
    async fn dispose(
        &self,
        subscription: &Subscription,
        undeliverable: Undeliverable,
    ) -> Result<(), Unhandled> {
        match undeliverable {
            Undeliverable::Gone(message, processed) => {
                self.count(&message, processed);
                if subscription.dead_letter.is_some() {
                    // Nobody waits for it: what happens to it is said.
                    self.bury(subscription, *message).await.ok();
                }
                Ok(())
            }
            Undeliverable::Bad(message, reason) => {
                error!("{reason}");
                self.give_up(subscription, *message, reason).await
            }
        }
    }

    fn judge(
        &self,
        subscription: &Subscription,
        message: Message,
    ) -> Result<Routed, Undeliverable> {
        let place = (&*subscription.pubsub, &*message.topic);
        let event = match Event::of(&message, subscription.raw, place) {
            Ok(event) => event,
            Err(reason) => {
                let (pubsub, topic) = place;
                let reason = format!(
                    "error deserializing cloud event in pubsub {pubsub} and topic {topic}: {reason}"
                );
                return Err(Undeliverable::Bad(Box::new(message), reason));
            }
        };
        let id = event.id();
        if event.is_expired(Timestamp::now()) {
            warn!("dropping expired pub/sub event {id}");
            return Err(Undeliverable::Gone(Box::new(message), Processed::Drop));
        }
        match subscription.routes.choose(&event) {
            Ok(Some(path)) => {
                let path = path.to_owned();
                Ok(Routed {
                    event,
                    path,
                    message,
                })
            }
            Ok(None) => {
                debug!(
                    "no matching route for event {id} of topic {}",
                    message.topic
                );
                Err(Undeliverable::Gone(Box::new(message), Processed::Unwanted))
            }
            Err(reason) => {
                let reason = format!(
                    "error finding matching route for event {id} in pubsub {} and topic {}: {reason}",
                    subscription.pubsub, message.topic
                );
                Err(Undeliverable::Bad(Box::new(message), reason))
            }
        }
    }

    async fn deliver(&self, subscription: &Subscription, routed: Routed) -> Result<(), Unhandled> {
        let attempt = |_| async {
            let delivered = self
                .receiver
                .deliver(&self.parts, subscription, &routed)
                .await;
            self.settle(&routed, delivered)
        };
        match run(self.policy(subscription), attempt).await {
            Ok(None) => Ok(()),
            Ok(Some(Dropped)) => {
                if subscription.dead_letter.is_some() {
                    return self.bury(subscription, routed.message).await;
                }
                Ok(())
            }
            Err(Undelivered(reason)) => self.give_up(subscription, routed.message, reason).await,
        }
    }

    /// What an attempt is for the policy.
    fn settle(
        &self,
        routed: &Routed,
        delivered: Delivered,
    ) -> Result<Option<Dropped>, Failure<Undelivered>> {
        let (topic, id) = (&routed.message.topic, routed.event.id());
        let pubsub = self.subscription.load().pubsub.clone();
        let count = |processed| {
            let metrics = &self.parts.metrics;
            metrics.processed((&pubsub, topic), processed, Some(delivered.start));
        };
        match delivered.verdict {
            Verdict::Success => {
                count(Processed::Success);
                Ok(None)
            }
            Verdict::Drop(reason) => {
                count(Processed::Unwanted);
                warn!("dropping pub/sub event {id} of topic {topic}: {reason}");
                Ok(Some(Dropped))
            }
            Verdict::Retry(reason) => {
                count(Processed::Retry);
                let reason = format!("pub/sub event {id} of topic {topic} was not taken: {reason}");
                warn!("{reason}");
                Err(match delivered.code {
                    Some(code) => Failure::code(code, Undelivered(reason)),
                    None => Failure::again(Undelivered(reason)),
                })
            }
        }
    }

    /// A dead letter, if there is a topic for them; else it comes again.
    async fn give_up(
        &self,
        subscription: &Subscription,
        message: Message,
        reason: String,
    ) -> Result<(), Unhandled> {
        if subscription.dead_letter.is_none() {
            self.count(&message, Processed::Retry);
            return Err(Unhandled(reason));
        }
        self.count(&message, Processed::Drop);
        self.bury(subscription, message).await
    }

    /// Publishes a dead letter. One that is not taken comes again after a pause that grows.
    async fn bury(&self, subscription: &Subscription, message: Message) -> Result<(), Unhandled> {
        let Some(topic) = &subscription.dead_letter else {
            return Ok(());
        };
        let place = Place {
            pubsub: &subscription.pubsub,
            topic,
        };
        let origin = message.topic.clone();
        let buried = self.parts.pubsub.pass_on(place, message).await;
        let pause = {
            let mut backoff = self.dead_letters.lock();
            match &buried {
                Ok(()) => {
                    backoff.reset();
                    Duration::ZERO
                }
                Err(_) => backoff.pause(),
            }
        };
        let Err(error) = buried else {
            return Ok(());
        };
        let reason = format!(
            "error sending message to dead letter, origin topic: {origin} dead letter topic {topic} err: {error}"
        );
        error!(?pause, "{reason}");
        sleep(pause).await;
        Err(Unhandled(reason))
    }

    fn policy(&self, subscription: &Subscription) -> Option<Policy> {
        let policies = self.parts.resiliency.policies();
        let pubsub = &subscription.pubsub;
        policies.component(pubsub, ComponentKind::Pubsub, Direction::Inbound)
    }

    fn count(&self, message: &Message, processed: Processed) {
        let subscription = self.subscription.load();
        let place = (&*subscription.pubsub, &*message.topic);
        self.parts.metrics.processed(place, processed, None);
    }
}

/// The application does not want it.
struct Dropped;

#[async_trait]
impl Handler for Within {
    async fn handle(&self, message: Message) -> Result<(), Unhandled> {
        self.consumer.handle(self.received(message)).await
    }

    async fn handle_batch(&self, messages: Vec<Message>) -> Vec<Result<(), Unhandled>> {
        let messages = messages.into_iter().map(|message| self.received(message));
        self.consumer.handle_batch(messages.collect()).await
    }
}

impl Within {
    /// The message as the application knows its topic, with what the sidecar adds.
    fn received(&self, mut message: Message) -> Message {
        let topic = logical(self.namespace.as_deref(), &message.topic);
        if topic.len() != message.topic.len() {
            message.topic = topic.to_owned();
        }
        if let Some(content_type) = &message.content_type {
            let content_type = content_type.clone();
            message
                .metadata
                .insert(CONTENT_TYPE.to_owned(), content_type);
        }
        let pubsub = self.consumer.subscription.load().pubsub.clone();
        message.metadata.insert(PUBSUB_NAME.to_owned(), pubsub);
        message
    }
}
