//! `bindings.rabbitmq`: messages into a queue, and out of it.

mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::sync::CancellationToken;
use trilby_components::{
    binding::{
        BindingError, Event, EventHandler, InputBinding, Invocation, OutputBinding, Reading, Reply,
    },
    metadata::Metadata,
    registry::InitError,
};

use crate::{
    intake::{Concurrency, Incoming, Intake, Refused, Settling, Take},
    link::Link,
    properties,
    publisher::{Outgoing, Publisher, Word},
    topology::{Step, name},
};
use settings::Config;
pub(crate) use settings::Settings;

/// The one operation.
const CREATE: &str = "create";
/// AMQP's number for messages that are kept on disk.
const PERSISTENT: u8 = 2;
/// What Go leaves alone in a query; a space, which it makes a plus, is seen to after.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// One queue on a broker.
#[derive(Debug)]
pub struct RabbitMqBinding {
    config: Config,
    /// Both directions share a connection, since a queue may be one connection's alone.
    link: Arc<Link>,
    publisher: Publisher,
}

impl RabbitMqBinding {
    /// Connects to the broker that `metadata` names, and declares its queue.
    ///
    /// # Errors
    /// The metadata is wrong; the broker is away or refuses.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let (config, endpoint) = Config::new(metadata)?;
        let link = Arc::new(Link::new(Arc::new(endpoint)));
        let channel = link.channel().await?;
        crate::topology::declare(&channel, &[config.step()]).await?;
        Ok(Self {
            publisher: Publisher::new(Arc::clone(&link), Word::Routed, config.wait),
            link,
            config,
        })
    }

    fn outgoing(&self, invocation: Invocation) -> Result<Outgoing, String> {
        let mut headers = FieldTable::default();
        for (key, value) in &invocation.metadata {
            let key = name("a key of the metadata", key.as_str())?;
            headers.insert(key, AMQPValue::LongString(value.as_str().into()));
        }
        let properties = properties::of_request(&invocation.metadata, None, None)?;
        Ok(Outgoing {
            exchange: ShortString::default(),
            key: self.config.queue.name.clone(),
            data: invocation.data,
            properties: properties
                .with_delivery_mode(PERSISTENT)
                .with_headers(headers),
        })
    }
}

impl Config {
    fn step(&self) -> Step {
        Step::Queue(self.queue.clone())
    }
}

#[async_trait]
impl OutputBinding for RabbitMqBinding {
    fn operations(&self) -> Vec<String> {
        vec![CREATE.to_owned()]
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        let outgoing = self.outgoing(invocation);
        let outgoing = outgoing.map_err(BindingError::InvalidRequest)?;
        let needed = (self.config.queue.name.clone(), self.config.step());
        self.publisher.publish(&outgoing, &needed).await?;
        Ok(Reply::default())
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

#[async_trait]
impl InputBinding for RabbitMqBinding {
    async fn read(
        &self,
        handler: Arc<dyn EventHandler>,
        stop: CancellationToken,
    ) -> Result<Reading, BindingError> {
        let intake = Intake {
            link: Arc::clone(&self.link),
            topology: vec![self.config.step()],
            queue: self.config.queue.name.clone(),
            concurrency: Concurrency::Single,
            prefetch: self.config.prefetch,
            settling: Settling::after_handling(Refused::Requeued),
            wait: self.config.wait,
            take: taking(handler),
        };
        let first = intake.begin(&stop).await?;
        Ok(Box::pin(intake.run(first, stop).map(Ok)))
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

/// Hands messages to the handler; what the application answers has nobody to go to.
fn taking(handler: Arc<dyn EventHandler>) -> Take {
    Arc::new(move |incoming: Incoming| {
        let headers = properties::texts(&incoming.properties);
        let event = Event {
            content_type: properties::content_type(&incoming.properties),
            metadata: headers.map(|(key, text)| (query(key), text)).collect(),
            data: incoming.data,
        };
        let handler = Arc::clone(&handler);
        Box::pin(async move { handler.handle(event).await.map(drop) })
    })
}

/// A name as it stands in a query, since metadata of events becomes headers of HTTP.
fn query(name: &str) -> String {
    utf8_percent_encode(name, QUERY)
        .to_string()
        .replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn names_of_headers_are_written_as_go_writes_queries() {
        assert_eq!(query("a-b_c.d~e"), "a-b_c.d~e");
        assert_eq!(query("a b/ü+"), "a+b%2F%C3%BC%2B");
    }
}
