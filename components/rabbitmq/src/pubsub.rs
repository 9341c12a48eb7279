//! `pubsub.rabbitmq`: a topic is an exchange, a subscription a queue bound to it.
//!
//! Messages in and out have connections of their own: a broker that holds publishers back does not hold back what is
//! acknowledged.

mod settings;
mod subscription;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use lapin::types::ShortString;
use trilby_components::{
    RequestMetadata,
    metadata::Metadata,
    pubsub::{Consumption, Feature, Handler, Message, PubSub, PubSubError, SubscribeRequest},
    registry::{ComponentContext, InitError},
};

use crate::{
    endpoint::Endpoint,
    intake::{Incoming, Intake, Take},
    link::Link,
    properties,
    publisher::{Outgoing, Publisher},
    topology::{Exchange, Step, name},
};
use settings::Config;
pub(crate) use settings::Settings;

/// Topics on a broker.
#[derive(Debug)]
pub struct RabbitMqPubSub {
    config: Config,
    outward: Arc<Link>,
    inward: Arc<Link>,
    publisher: Publisher,
}

impl RabbitMqPubSub {
    /// Connects to the broker that `metadata` names.
    ///
    /// # Errors
    /// The metadata is wrong; the broker is away or refuses.
    pub async fn connect(
        context: &ComponentContext,
        metadata: &Metadata,
    ) -> Result<Self, InitError> {
        let (config, endpoint) = Config::new(context, metadata)?;
        let broker = Self::new(config, endpoint);
        drop(broker.outward.channel().await?);
        Ok(broker)
    }

    fn new(config: Config, endpoint: Endpoint) -> Self {
        let endpoint = Arc::new(endpoint);
        let outward = Arc::new(Link::new(Arc::clone(&endpoint)));
        Self {
            publisher: Publisher::new(Arc::clone(&outward), config.word, config.wait),
            inward: Arc::new(Link::new(endpoint)),
            outward,
            config,
        }
    }

    fn outgoing(&self, message: Message) -> Result<Outgoing, String> {
        let mut properties = properties::of_request(
            &message.metadata,
            message.content_type.as_deref(),
            self.config.time_to_live,
        )?;
        if self.config.delivery_mode > 0 {
            properties = properties.with_delivery_mode(self.config.delivery_mode);
        }
        Ok(Outgoing {
            exchange: name("the topic", message.topic)?,
            key: name("routingKey", routing_key(&message.metadata))?,
            data: message.data,
            properties,
        })
    }
}

#[async_trait]
impl PubSub for RabbitMqPubSub {
    fn features(&self) -> &[Feature] {
        &[Feature::MessageTtl]
    }

    async fn publish(&self, message: Message) -> Result<(), PubSubError> {
        let outgoing = self
            .outgoing(message)
            .map_err(PubSubError::InvalidRequest)?;
        let exchange = self.config.exchange(outgoing.exchange.clone());
        let needed = (outgoing.exchange.clone(), Step::Exchange(exchange));
        Ok(self.publisher.publish(&outgoing, &needed).await?)
    }

    async fn subscribe(
        &self,
        request: SubscribeRequest,
        handler: Arc<dyn Handler>,
    ) -> Result<Consumption, PubSubError> {
        let plan = subscription::plan(&self.config, &request);
        let plan = plan.map_err(PubSubError::InvalidRequest)?;
        let intake = Intake {
            link: Arc::clone(&self.inward),
            topology: plan.steps,
            queue: plan.queue,
            concurrency: self.config.concurrency,
            prefetch: self.config.prefetch,
            settling: self.config.settling(),
            wait: self.config.wait,
            take: self.taking(&request.topic, handler),
        };
        let stop = request.stop;
        let first = intake.begin(&stop).await?;
        Ok(Box::pin(intake.run(first, stop).map(Ok)))
    }

    async fn close(&self) {
        self.inward.close().await;
        self.outward.close().await;
    }
}

impl RabbitMqPubSub {
    /// Hands messages of a topic to the handler.
    fn taking(&self, topic: &str, handler: Arc<dyn Handler>) -> Take {
        let topic: Arc<str> = topic.into();
        let tells_properties = self.config.tells_properties;
        Arc::new(move |incoming: Incoming| {
            let message = Message {
                topic: topic.to_string(),
                content_type: properties::content_type(&incoming.properties),
                metadata: match tells_properties {
                    true => properties::as_metadata(&incoming.properties),
                    false => RequestMetadata::new(),
                },
                data: incoming.data,
            };
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler.handle(message).await })
        })
    }
}

impl Config {
    /// A topic's exchange.
    fn exchange(&self, name: ShortString) -> Exchange {
        Exchange {
            name,
            kind: self.exchange_kind.clone(),
            durable: self.durable,
            auto_delete: self.auto_delete,
        }
    }
}

/// What a request or a subscription says about routes; without a word, none.
fn routing_key(metadata: &RequestMetadata) -> &str {
    metadata.get("routingKey").map_or("", String::as_str)
}
