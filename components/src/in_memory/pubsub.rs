//! `pubsub.in-memory`: topics among the callers of one sidecar. What nobody subscribes to is gone; the rest ends with the
//! sidecar, and with a change of the component.
//!
//! Each subscription has a queue of its own, bounded in messages and bytes: publishers wait for room, for a while. It
//! hands over one message at a time, in order. What was not taken comes again, after those that wait.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::pubsub::{
    Consumption, Feature, Handler, Message, PubSub, PubSubError, SubscribeRequest, Unhandled,
};

/// What the metadata API lists.
pub(super) const CAPABILITIES: &[&str] = &["SUBSCRIBE_WILDCARDS"];

/// Messages that may wait for one subscription.
const MOST_WAITING: usize = 4096;
/// What they may take together, in KiB.
const MOST_WAITING_KIB: u32 = 64 * 1024;
/// How long a publisher waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// Until a message that was not taken comes again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Topics in memory.
#[derive(Default)]
pub struct InMemoryPubSub {
    subscribers: Arc<Mutex<Subscribers>>,
}

#[derive(Default)]
struct Subscribers {
    next: u64,
    by_number: HashMap<u64, Subscriber>,
}

#[derive(Clone)]
struct Subscriber {
    topic: Arc<str>,
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

/// A message in a queue, with its room there.
struct Waiting {
    message: Message,
    /// How often it was handed over.
    attempts: u32,
    _room: OwnedSemaphorePermit,
}

/// One subscription at work.
struct Consumer {
    place: Place,
    queue: mpsc::Receiver<Waiting>,
    handler: Arc<dyn Handler>,
    stop: CancellationToken,
}

/// A subscriber's place among the others, which ends with it.
struct Place {
    subscribers: Arc<Mutex<Subscribers>>,
    number: u64,
}

// === impl InMemoryPubSub ===

#[async_trait]
impl PubSub for InMemoryPubSub {
    fn features(&self) -> &[Feature] {
        &[Feature::SubscribeWildcards]
    }

    async fn publish(&self, message: Message) -> Result<(), PubSubError> {
        let mut wanting = self.wanting(&message.topic);
        let last = wanting.pop();
        for subscriber in wanting {
            subscriber.queue(message.clone()).await?;
        }
        match last {
            Some(subscriber) => subscriber.queue(message).await,
            None => Ok(()),
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequest,
        handler: Arc<dyn Handler>,
    ) -> Result<Consumption, PubSubError> {
        let (sender, queue) = mpsc::channel(MOST_WAITING);
        let consumer = Consumer {
            place: self.place(&request.topic, sender),
            queue,
            handler,
            stop: request.stop,
        };
        Ok(Box::pin(async move {
            consumer.run().await;
            Ok(())
        }))
    }
}

impl InMemoryPubSub {
    fn place(&self, topic: &str, queue: mpsc::Sender<Waiting>) -> Place {
        let mut subscribers = self.subscribers.lock();
        let number = subscribers.next;
        subscribers.next += 1;
        let subscriber = Subscriber {
            topic: topic.into(),
            queue,
            room: Arc::new(Semaphore::new(MOST_WAITING_KIB as usize)),
        };
        subscribers.by_number.insert(number, subscriber);
        Place {
            subscribers: Arc::clone(&self.subscribers),
            number,
        }
    }

    fn wanting(&self, topic: &str) -> Vec<Subscriber> {
        let subscribers = self.subscribers.lock();
        let wanting = subscribers.by_number.values();
        wanting
            .filter(|subscriber| matches(&subscriber.topic, topic))
            .cloned()
            .collect()
    }
}

/// Whether a subscription to `pattern` wants `topic`: a final `*` stands for at least one character.
fn matches(pattern: &str, topic: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => topic.len() > start.len() && topic.starts_with(start),
        None => pattern == topic,
    }
}

// === impl Subscriber ===

impl Subscriber {
    async fn queue(&self, message: Message) -> Result<(), PubSubError> {
        let size = weight(&message);
        let queue = async {
            let room = Arc::clone(&self.room).acquire_many_owned(size).await;
            let waiting = Waiting {
                message,
                attempts: 0,
                _room: room.ok()?,
            };
            // A subscription that ended meanwhile is not there any more, like one that ended before.
            self.queue.send(waiting).await.ok()
        };
        match timeout(PATIENCE, queue).await {
            Ok(Some(()) | None) => Ok(()),
            Err(_) => Err(PubSubError::Unavailable(format!(
                "the subscribers of topic {} do not keep up: no room for another message within {PATIENCE:?}",
                self.topic
            ))),
        }
    }
}

/// What a message takes of the room, in KiB: never more than there is.
fn weight(message: &Message) -> u32 {
    let metadata = message.metadata.iter();
    let metadata: usize = metadata.map(|(name, value)| name.len() + value.len()).sum();
    let kib = (message.data.len() + metadata).div_ceil(1024);
    u32::try_from(kib)
        .unwrap_or(u32::MAX)
        .clamp(1, MOST_WAITING_KIB)
}

// === impl Consumer ===

impl Consumer {
    async fn run(self) {
        let Self {
            place,
            mut queue,
            handler,
            stop,
        } = self;
        let mut again = FuturesUnordered::new();
        let mut place = Some(place);
        loop {
            let mut waiting = tokio::select! {
                biased;
                () = stop.cancelled(), if place.is_some() => {
                    // Nothing new comes any more; what waits is handed over.
                    place = None;
                    continue;
                }
                next = queue.recv() => match next {
                    Some(waiting) => waiting,
                    None => return,
                },
                Some(waiting) = again.next(), if place.is_some() => waiting,
            };
            if let Err(Unhandled(reason)) = handler.handle(waiting.message.clone()).await {
                waiting.attempts += 1;
                tracing::warn!(
                    topic = waiting.message.topic,
                    attempts = waiting.attempts,
                    "a message was not taken and comes again: {reason}"
                );
                again.push(later(waiting));
            }
        }
    }
}

async fn later(waiting: Waiting) -> Waiting {
    let (first, most) = AGAIN;
    let doublings = waiting.attempts.saturating_sub(1).min(10);
    sleep((first * (1 << doublings)).min(most)).await;
    waiting
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.subscribers.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::{InMemoryPubSub, matches};
    use crate::conformance::pubsub::{Traits, run_apart, run_as};

    #[test]
    fn a_final_star_stands_for_something() {
        assert!(matches("a", "a"));
        assert!(!matches("a", "ab"));
        assert!(matches("a*", "ab"));
        assert!(!matches("a*", "a"));
        assert!(!matches("a*c", "abc"), "only a final one");
        assert!(matches("*", "x"));
    }

    #[tokio::test]
    async fn it_is_a_broker() {
        let broker = InMemoryPubSub::default();
        let traits = Traits {
            durable: false,
            ..Traits::default()
        };
        run_as(&broker, "app", traits).await;
        // Each subscription is a consumer of its own.
        run_apart([&broker, &broker], "app").await;
    }
}
