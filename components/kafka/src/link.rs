//! The vendor's client, as all of this crate uses it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use krafka::consumer::{AutoOffsetReset, Consumer};
use krafka::producer::{Acks, Producer};
use krafka::{CloseOptions, Kafka, KrafkaError, Record};
use tokio::sync::Mutex;
use trilby_components::RequestMetadata;
use trilby_components::registry::InitError;

use crate::member::Listener;
use crate::partitioner::ByKey;
use crate::settings::{Config, Group};

/// How long a member may take to give up its partitions, and others wait for it: as upstream's client.
const REBALANCE_LIMIT: Duration = Duration::from_secs(60);
/// How long the end of a connection may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Why something was not published.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It asks for something that cannot be.
    Request(String),
    /// What the brokers or the network said.
    Kafka(KrafkaError),
}

/// A cluster that is connected.
pub(crate) struct Link {
    kafka: Kafka,
    config: Config,
    /// Made anew when it cannot go on.
    producer: Mutex<Arc<Producer>>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// The settings cannot be, or no broker answers.
    pub(crate) async fn connect(config: Config) -> Result<Self, InitError> {
        let failed = |error: KrafkaError| match error {
            KrafkaError::Config { .. } => InitError::Invalid(error.to_string()),
            other => InitError::Unavailable(format!("Kafka at {}: {other}", config.brokers)),
        };
        let mut builder = Kafka::builder(&config.brokers)
            .client_id(&config.client_id)
            .connect_timeout(config.connect_timeout)
            .request_timeout(config.request_timeout)
            .metadata_max_age(config.refresh)
            .tcp_keepalive(config.keep_alive)
            // As upstream's client: whether a topic may begin with its first use is the brokers' setting.
            .allow_auto_create_topics(true);
        if let Some(security) = &config.security {
            builder = builder.security(security.clone());
        }
        let kafka = builder.connect().await.map_err(failed)?;
        let producer = producer(&kafka, &config).await.map_err(failed)?;
        Ok(Self {
            producer: Mutex::new(Arc::new(producer)),
            kafka,
            config,
        })
    }

    /// What it was told.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Publishes; returns once as many brokers have it as the settings ask for.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn publish(
        &self,
        topic: &str,
        data: Bytes,
        metadata: &RequestMetadata,
    ) -> Result<(), Failure> {
        let record = self.record(topic, data, metadata)?;
        let producer = Arc::clone(&*self.producer.lock().await);
        let sent = producer.send(record).await;
        self.settle(&producer, sent.map(drop)).await
    }

    /// Publishes several to one topic, in their order. Results come in the same order.
    pub(crate) async fn publish_all(
        &self,
        messages: impl IntoIterator<Item = (String, Bytes, RequestMetadata)>,
    ) -> Vec<Result<(), Failure>> {
        let producer = Arc::clone(&*self.producer.lock().await);
        let mut queued = Vec::new();
        for (topic, data, metadata) in messages {
            queued.push(match self.record(&topic, data, &metadata) {
                Ok(record) => producer.enqueue(record).await.map_err(Failure::Kafka),
                Err(refused) => Err(refused),
            });
        }
        let mut results = Vec::with_capacity(queued.len());
        for sent in queued {
            results.push(match sent {
                Ok(delivery) => self.settle(&producer, delivery.await.map(drop)).await,
                Err(failure) => Err(failure),
            });
        }
        results
    }

    fn record(
        &self,
        topic: &str,
        data: Bytes,
        metadata: &RequestMetadata,
    ) -> Result<Record, Failure> {
        let headers = &self.config.headers;
        let record = headers.record(topic, data, metadata);
        let record = record.map_err(Failure::Request)?;
        let (size, largest) = (record.estimated_size(), self.config.largest);
        if size > largest {
            return Err(Failure::Request(format!(
                "a message of {size} bytes is larger than maxMessageBytes, {largest}"
            )));
        }
        Ok(record)
    }

    /// Replaces a producer that cannot go on.
    async fn settle(
        &self,
        used: &Arc<Producer>,
        result: Result<(), KrafkaError>,
    ) -> Result<(), Failure> {
        let Err(error) = result else { return Ok(()) };
        if error.is_fatal() {
            let mut current = self.producer.lock().await;
            if Arc::ptr_eq(used, &current)
                && let Ok(fresh) = producer(&self.kafka, &self.config).await
            {
                *current = Arc::new(fresh);
            }
        }
        Err(Failure::Kafka(error))
    }

    /// A member of the group that nobody polls yet.
    ///
    /// # Errors
    /// The settings cannot be.
    pub(crate) async fn member(&self, listener: Arc<Listener>) -> Result<Consumer, KrafkaError> {
        let Group {
            id,
            from_oldest,
            heartbeat,
            session,
            strategy,
            fetch_min,
            fetch_max,
            ..
        } = &self.config.group;
        let reset = match from_oldest {
            true => AutoOffsetReset::Earliest,
            false => AutoOffsetReset::Latest,
        };
        self.kafka
            .consumer(id)
            .auto_offset_reset(reset)
            .enable_auto_commit(false)
            .heartbeat_interval(*heartbeat)
            .session_timeout(*session)
            .max_poll_interval(REBALANCE_LIMIT)
            .partition_assignment_strategy(*strategy)
            .fetch_min_bytes(*fetch_min)
            .max_partition_fetch_bytes(*fetch_max)
            // What a paused partition has must not keep the others from being fetched.
            .max_buffered_records(0)
            .rebalance_listener(listener)
            .build()
            .await
    }

    /// How many partitions the topics have that are there.
    ///
    /// # Errors
    /// No broker answers.
    pub(crate) async fn partitions(
        consumer: &Consumer,
        topics: &[String],
    ) -> Result<usize, KrafkaError> {
        let mut partitions = 0;
        for topic in topics {
            let known = consumer.fetch_metadata(Some(topic)).await?;
            let counts = known.topics.iter().map(|topic| topic.partitions.len());
            partitions += counts.sum::<usize>();
        }
        Ok(partitions)
    }

    /// Sends what is queued, and ends.
    pub(crate) async fn close(&self) {
        let producer = Arc::clone(&*self.producer.lock().await);
        let closed = producer.close_with(CloseOptions::new().timeout(CLOSE_LIMIT));
        if let Err(error) = closed.await {
            tracing::warn!("closing the producer of Kafka: {error}");
        }
    }
}

async fn producer(kafka: &Kafka, config: &Config) -> Result<Producer, KrafkaError> {
    kafka
        .producer()
        .acks(config.acks)
        .idempotent(config.acks == Acks::All)
        .compression(config.compression)
        .linger(Duration::ZERO)
        .max_block(config.metadata_timeout)
        .delivery_timeout(config.request_timeout)
        .partitioner(ByKey)
        .build()
        .await
}
