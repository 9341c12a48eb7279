//! `pubsub.redis`: each topic is a stream, each application a consumer group of it, in upstream's layout: both kinds of
//! sidecars publish to and consume from the same streams.
//!
//! Unlike upstream's, each subscription is a consumer of its own within the group, so that the server knows who holds
//! what. What it holds stays its own for as long as it lives, however long handling takes; what a consumer that died
//! left behind, and what was not taken, is handed over again once nobody has touched it for `processingTimeout`. A
//! consumer is removed at its end; one that died is removed by the others once nothing of it is left.
//!
//! [`flow`] decides, [`group`] and [`reader`] talk to the server, [`consumption`] is between them. There is no order
//! among the messages of a topic: several are handled at once. In a cluster, each subscription has connections of its
//! own to all servers.

mod consumption;
mod entry;
mod flow;
mod group;
mod reader;
mod settings;

use std::{sync::Arc, time::Duration};

use ::redis::RedisResult;
use async_trait::async_trait;
use tokio::sync::Semaphore;
use trilby_components::{
    metadata::Metadata,
    pubsub::{Consumption, Handler, Message, PubSub, PubSubError, SubscribeRequest},
    registry::{ComponentContext, InitError},
    state::StateError,
};

use crate::{
    config::Config,
    connection::Connection,
    greeting::greet,
    link::{Link, Repeat},
};
use consumption::Work;
use flow::{Flow, Limits};
use group::Group;
use reader::Reader;
pub(crate) use settings::Settings;

/// The first pause before a command is repeated: upstream's driver's.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(8);

/// Topics in Redis.
pub struct RedisPubSub {
    link: Arc<Link>,
    settings: Settings,
    /// The name of the consumer group.
    consumer: String,
    /// One permit for each message that may be handled at once, of all subscriptions together.
    workers: Arc<Semaphore>,
}

impl RedisPubSub {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses the login, else what is wrong with the metadata.
    pub async fn connect(
        context: &ComponentContext,
        metadata: &Metadata,
    ) -> Result<Self, InitError> {
        let (config, rest) = Config::split_with(metadata, FIRST_PAUSE)?;
        let settings: Settings = rest.decode()?;
        settings.check()?;
        let link = Link::new(config);
        greet(&link).await?;
        Ok(Self {
            link: Arc::new(link),
            consumer: context.consumer(settings.consumer_id.as_deref()),
            workers: Arc::new(Semaphore::new(settings.workers())),
            settings,
        })
    }
}

#[async_trait]
impl PubSub for RedisPubSub {
    async fn publish(&self, message: Message) -> Result<(), PubSubError> {
        let add = async |mut connection: Connection| -> RedisResult<()> {
            let trimming = self.settings.trimming(jiff::Timestamp::now());
            let add = entry::adding(&message, &trimming);
            add.query_async(&mut connection).await
        };
        // At least once: twice is better than never.
        let added = self.link.run(Repeat::Safe, add).await;
        added.map_err(|error| failed("error from publish", error))
    }

    async fn subscribe(
        &self,
        request: SubscribeRequest,
        handler: Arc<dyn Handler>,
    ) -> Result<Consumption, PubSubError> {
        let redelivery = self.settings.redelivery();
        let group = Group::new(
            Arc::clone(&self.link),
            request.topic,
            self.consumer.clone(),
            redelivery.map(|redelivery| redelivery.after),
        );
        let created = group.create().await;
        created.map_err(|error| failed("error creating the consumer group", error))?;
        let limits = Limits {
            depth: self.settings.depth(),
            workers: self.settings.workers(),
            redelivers: redelivery.is_some(),
        };
        let group = Arc::new(group);
        let work = Work {
            reader: tokio::sync::Mutex::new(Reader::new(Arc::clone(&group))),
            group,
            handler,
            workers: Arc::clone(&self.workers),
            redelivery,
            stop: request.stop,
        };
        Ok(Box::pin(async move {
            Arc::new(work).run(Flow::new(limits)).await;
            Ok(())
        }))
    }

    async fn close(&self) {
        self.link.close();
    }
}

fn failed(what: &str, error: StateError) -> PubSubError {
    let reason = format!("redis streams: {what}: {error}");
    match error {
        StateError::Unavailable(_) => PubSubError::Unavailable(reason),
        _ => PubSubError::Broker(reason),
    }
}
