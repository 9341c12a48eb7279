//! One subscription, for as long as it is wanted: whichever component has the name, while the application is healthy.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use trilby_components::pubsub::{Batches, Consumption, Feature, Handler, SubscribeRequest};
use trilby_grpc::Backoff;
use trilby_pubsub::topic::physical;
use trilby_resources::PubSubComponent;

use super::Parts;
use super::batches::Batcher;
use super::consumer::Consumer;

/// How long a broker may take to begin a subscription: far beyond its own limits.
const BEGIN: Duration = Duration::from_secs(120);
/// How long what is being handled is waited for when a subscription stops, as upstream waits.
const DRAIN: Duration = Duration::from_secs(30);

/// Keeps one subscription going.
pub(super) struct Follower {
    pub(super) parts: Parts,
    pub(super) consumer: Arc<Consumer>,
    pub(super) stop: CancellationToken,
    /// Held until the subscription has begun, or has failed to.
    pub(super) attempted: Option<mpsc::Sender<()>>,
}

/// What a follower watches.
struct Watched {
    healthy: watch::Receiver<bool>,
    /// Counts changes of any component.
    components: watch::Receiver<u64>,
}

impl Follower {
    /// Subscribes until it is stopped.
    pub(super) async fn run(mut self) {
        let mut watched = Watched {
            healthy: self.parts.healthy.clone(),
            components: self.parts.resources.changes(),
        };
        let mut backoff = Backoff::default();
        let mut said = String::new();
        let stop = self.stop.clone();
        loop {
            let needs_app = self.consumer.is_for_the_application();
            let begun = tokio::select! {
                () = stop.cancelled() => return,
                begun = self.begin(&mut watched, needs_app) => begun,
            };
            self.attempted = None;
            match begun {
                Ok((component, consuming)) => {
                    said.clear();
                    backoff.reset();
                    self.consume((component, consuming), &mut watched, needs_app)
                        .await;
                }
                Err(reason) => {
                    // Once for each reason: it is tried for as long as it takes.
                    if said != reason {
                        error!("{reason}");
                        said = reason;
                    }
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(backoff.pause()) => {}
                        Ok(()) = watched.components.changed() => {}
                    }
                }
            }
        }
    }

    /// Subscribes, once the application is healthy and there is a component.
    async fn begin(
        &self,
        watched: &mut Watched,
        needs_app: bool,
    ) -> Result<(Arc<PubSubComponent>, Consuming), String> {
        if needs_app {
            // It ends when the sidecar does.
            watched.healthy.wait_for(|healthy| *healthy).await.ok();
        }
        watched.components.mark_unchanged();
        let subscription = self.consumer.subscription();
        let (pubsub, topic) = (&subscription.pubsub, &subscription.topic);
        let component = self.parts.resources.pubsub(pubsub);
        let component = component.map_err(|lookup| {
            format!("failed to subscribe to topic {topic}: pubsub {pubsub}: {lookup}")
        })?;
        if !component.scopes().may_subscribe(topic) {
            return Err(format!(
                "subscription to topic '{topic}' on pubsub '{pubsub}' is not allowed"
            ));
        }
        let stop = CancellationToken::new();
        let namespace = self.parts.pubsub.namespace_of(&component);
        let batches = subscription.bulk.map(|bulk| Batches {
            max_messages: Some(bulk.max_messages),
            max_wait: Some(bulk.max_wait),
        });
        let native = component.broker.has(Feature::BulkSubscribe);
        let request = SubscribeRequest {
            topic: physical(namespace, topic),
            metadata: subscription.metadata.clone(),
            batches: batches.filter(|_| native),
            stop: stop.clone(),
        };
        let consumer: Arc<dyn Handler> = self.consumer.within(namespace);
        let (handler, batching) = match batches.filter(|_| !native) {
            None => (consumer, None),
            Some(batches) => {
                let at_once = component.broker.has(Feature::BulkSubscribeImmediate);
                let (handler, batching) = Batcher::new(batches, at_once, consumer);
                (Arc::new(handler) as Arc<dyn Handler>, Some(batching))
            }
        };
        let begun = timeout(BEGIN, component.broker.subscribe(request, handler)).await;
        let begun = begun.unwrap_or_else(|_| {
            let late = format!("the broker did not answer within {BEGIN:?}");
            Err(trilby_components::pubsub::PubSubError::Unavailable(late))
        });
        let consumption = begun.map_err(|error| {
            format!("Failed to start subscription for pubsub {pubsub}, topic {topic}: {error}")
        })?;
        info!("subscribed to topic {topic} of pubsub {pubsub}");
        let consuming = Consuming {
            consumption: match batching {
                None => consumption,
                Some(batching) => batching.beside(consumption),
            },
            stop,
        };
        Ok((component, consuming))
    }

    /// Consumes until the subscription stops, or has to begin again.
    async fn consume(
        &self,
        (component, mut consuming): (Arc<PubSubComponent>, Consuming),
        watched: &mut Watched,
        needs_app: bool,
    ) {
        let topic = self.consumer.subscription().topic.clone();
        loop {
            tokio::select! {
                ended = &mut consuming.consumption => {
                    if let Err(error) = ended {
                        error!("the subscription to topic {topic} ended and begins again: {error}");
                    }
                    return;
                }
                () = self.stop.cancelled() => break,
                Ok(()) = watched.healthy.changed(), if needs_app => {
                    if !*watched.healthy.borrow_and_update() {
                        info!("the application is not healthy: no messages of topic {topic} until it is");
                        break;
                    }
                }
                Ok(()) = watched.components.changed() => {
                    if self.is_replaced(&component) {
                        break;
                    }
                }
            }
        }
        consuming.stop.cancel();
        match timeout(DRAIN, consuming.consumption).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!("the subscription to topic {topic} did not end well: {error}"),
            Err(_) => warn!(
                "messages of topic {topic} are still being handled after {DRAIN:?}: they come again"
            ),
        }
    }

    fn is_replaced(&self, component: &Arc<PubSubComponent>) -> bool {
        let found = self.parts.resources.pubsub(&component.name);
        !found.is_ok_and(|found| Arc::ptr_eq(&found, component))
    }
}

/// A subscription under way.
struct Consuming {
    consumption: Consumption,
    stop: CancellationToken,
}
