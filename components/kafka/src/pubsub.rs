//! `pubsub.kafka`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use krafka::KrafkaError;
use krafka::consumer::ConsumerRecord;
use trilby_components::metadata::Metadata;
use trilby_components::pubsub::{
    Batches, Consumption, Feature, Handler, Message, PubSub, PubSubError, SubscribeRequest,
    Unhandled,
};
use trilby_components::registry::{ComponentContext, InitError};

use crate::consumption;
use crate::link::{Failure, Link};
use crate::member::{Duty, Taker};
use crate::message::{Headers, plain_values, value};
use crate::partitions::{Batching, SINGLE};
use crate::settings::{Config, Settings};

/// A batch whose subscription does not say how large it may be, or how long it may be waited for: upstream's defaults.
const BATCH: Batching = Batching {
    most: 80,
    wait: Duration::from_secs(10),
};

/// Topics of Kafka.
pub struct KafkaPubSub {
    link: Arc<Link>,
}

/// Hands messages to a subscriber.
struct Subscriber {
    handler: Arc<dyn Handler>,
    headers: Headers,
    batches: bool,
}

impl KafkaPubSub {
    /// Connects.
    ///
    /// # Errors
    /// The metadata does not decode, or no broker answers.
    pub async fn connect(
        context: &ComponentContext,
        metadata: &Metadata,
    ) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let link = Link::connect(Config::new(settings, context, true)?).await?;
        Ok(Self {
            link: Arc::new(link),
        })
    }
}

#[async_trait]
impl PubSub for KafkaPubSub {
    fn features(&self) -> &[Feature] {
        &[Feature::BulkSubscribe]
    }

    async fn publish(&self, message: Message) -> Result<(), PubSubError> {
        let Message {
            topic,
            data,
            metadata,
            ..
        } = message;
        let published = self.link.publish(&topic, data, &metadata).await;
        published.map_err(refused)
    }

    async fn bulk_publish(&self, messages: Vec<Message>) -> Vec<Result<(), PubSubError>> {
        let messages = messages.into_iter();
        let messages = messages.map(|message| (message.topic, message.data, message.metadata));
        let results = self.link.publish_all(messages).await.into_iter();
        results.map(|result| result.map_err(refused)).collect()
    }

    async fn subscribe(
        &self,
        request: SubscribeRequest,
        handler: Arc<dyn Handler>,
    ) -> Result<Consumption, PubSubError> {
        plain_values(&request.metadata).map_err(PubSubError::InvalidRequest)?;
        let subscriber = Subscriber {
            handler,
            headers: self.link.config().headers.clone(),
            batches: request.batches.is_some(),
        };
        let duty = Duty {
            topics: vec![request.topic],
            batching: request.batches.map_or(SINGLE, batching),
            taker: Arc::new(subscriber),
        };
        let begun = consumption::begin(&self.link, duty, request.stop).await;
        let consuming = begun.map_err(|error| refused(Failure::Kafka(error)))?;
        Ok(Box::pin(async move {
            consuming.await;
            Ok(())
        }))
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

fn batching(batches: Batches) -> Batching {
    Batching {
        most: batches.max_messages.unwrap_or(BATCH.most).max(1),
        wait: batches.max_wait.unwrap_or(BATCH.wait),
    }
}

fn refused(failure: Failure) -> PubSubError {
    match failure {
        Failure::Request(reason) => PubSubError::InvalidRequest(reason),
        Failure::Kafka(error @ KrafkaError::Config { .. }) => {
            PubSubError::InvalidRequest(error.to_string())
        }
        Failure::Kafka(error @ KrafkaError::Broker { .. }) if !error.is_retriable() => {
            PubSubError::Broker(error.to_string())
        }
        Failure::Kafka(error) => PubSubError::Unavailable(error.to_string()),
    }
}

#[async_trait]
impl Taker for Subscriber {
    async fn take(&self, records: &[(i64, ConsumerRecord)]) -> Vec<Result<(), Unhandled>> {
        let messages = records.iter().map(|(_, record)| Message {
            topic: record.topic.to_string(),
            data: value(record),
            content_type: None,
            metadata: self.headers.metadata(record),
        });
        if self.batches {
            return self.handler.handle_batch(messages.collect()).await;
        }
        let mut results = Vec::with_capacity(records.len());
        for message in messages {
            results.push(self.handler.handle(message).await);
        }
        results
    }
}
