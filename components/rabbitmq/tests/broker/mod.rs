//! A real broker, seen from beside the component.

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicGetOptions, QueueDeclareOptions},
    types::FieldTable,
};
use trilby_components::{RequestMetadata, metadata::Metadata};
use trilby_testkit::{eventually::eventually, servers::rabbitmq::RabbitMq};

/// What a component is told.
pub(crate) fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    Metadata::new(pairs.iter().copied()).expect("the broker serves")
}

/// What a request says.
#[allow(dead_code)] // each test program uses its part
pub(crate) fn request(pairs: &[(&str, &str)]) -> RequestMetadata {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Another client of the broker.
pub(crate) struct Beside {
    _connection: Connection,
    pub(crate) channel: Channel,
}

#[allow(dead_code)] // each test program uses its part
impl Beside {
    pub(crate) async fn the(rabbit: &RabbitMq) -> Self {
        let options = ConnectionProperties::default();
        let connection = Connection::connect(&rabbit.uri(), options)
            .await
            .expect("the broker serves");
        Self {
            channel: connection
                .create_channel()
                .await
                .expect("the broker serves"),
            _connection: connection,
        }
    }

    /// How many messages of a queue wait that nobody was given.
    pub(crate) async fn waiting(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let arguments = FieldTable::default();
        let declared = self.channel.queue_declare(queue.into(), options, arguments);
        declared.await.expect("the broker serves").message_count()
    }

    /// Waits until so many messages of a queue wait.
    pub(crate) async fn until_waiting(&self, queue: &str, wanted: u32) {
        eventually("the messages wait", async || {
            match self.waiting(queue).await {
                found if found == wanted => Ok(()),
                found => Err(format!("{found} wait")),
            }
        })
        .await;
    }

    /// Takes a message.
    pub(crate) async fn get(&self, queue: &str) -> Option<(Vec<u8>, BasicProperties)> {
        let options = BasicGetOptions { no_ack: true };
        let found = self
            .channel
            .basic_get(queue.into(), options)
            .await
            .expect("the broker serves");
        found.map(|message| (message.delivery.data, message.delivery.properties))
    }
}
