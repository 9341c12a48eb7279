//! What has to be there at the broker: exchanges, queues and bindings, as upstream declares them, so that both kinds of
//! sidecars share them. Values are computed here, and said to the broker by [`declare`].

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::failure::{Failure, answered};

/// Something to declare. Declaring what is there already changes nothing, and is refused if it is there otherwise.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Where messages are published.
    Exchange(Exchange),
    /// Where they wait.
    Queue(Queue),
    /// What leads from one to the other.
    Bind {
        /// Its name.
        queue: ShortString,
        /// Its name.
        exchange: ShortString,
        /// Which messages; what it means is the exchange's to say.
        key: ShortString,
    },
}

/// An exchange.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exchange {
    pub(crate) name: ShortString,
    pub(crate) kind: ExchangeKind,
    /// Whether it outlives the broker's process.
    pub(crate) durable: bool,
    /// Whether it goes with its last binding.
    pub(crate) auto_delete: bool,
}

/// A queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Queue {
    pub(crate) name: ShortString,
    /// Whether it outlives the broker's process.
    pub(crate) durable: bool,
    /// Whether it goes with its last consumer.
    pub(crate) auto_delete: bool,
    /// Whether it is this connection's alone.
    pub(crate) exclusive: bool,
    pub(crate) arguments: FieldTable,
}

/// A name as AMQP has it.
///
/// # Errors
/// It is longer than AMQP allows; `what` says whose it is.
pub(crate) fn name(what: &str, text: impl Into<String>) -> Result<ShortString, String> {
    ShortString::try_new(text).map_err(|_| format!("{what} is longer than 255 bytes"))
}

/// Adds an argument of a queue.
pub(crate) fn argue(arguments: &mut FieldTable, key: &'static str, value: AMQPValue) {
    arguments.insert(key.into(), value);
}

/// Declares one after the other.
///
/// # Errors
/// The broker is away, or refuses one of them.
pub(crate) async fn declare(channel: &Channel, steps: &[Step]) -> Result<(), Failure> {
    for step in steps {
        step.declare(channel).await?;
    }
    Ok(())
}

impl Step {
    async fn declare(&self, channel: &Channel) -> Result<(), Failure> {
        match self {
            Self::Exchange(exchange) => exchange.declare(channel).await,
            Self::Queue(queue) => queue.declare(channel).await,
            Self::Bind {
                queue,
                exchange,
                key,
            } => {
                let what = format!("binding queue {queue} to exchange {exchange}");
                let bound = channel.queue_bind(
                    queue.clone(),
                    exchange.clone(),
                    key.clone(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                );
                answered(&what, bound).await
            }
        }
    }
}

impl Exchange {
    async fn declare(&self, channel: &Channel) -> Result<(), Failure> {
        let options = ExchangeDeclareOptions {
            durable: self.durable,
            auto_delete: self.auto_delete,
            ..ExchangeDeclareOptions::default()
        };
        let arguments = FieldTable::default();
        let declared =
            channel.exchange_declare(self.name.clone(), self.kind.clone(), options, arguments);
        answered(&format!("declaring exchange {}", self.name), declared).await
    }
}

impl Queue {
    async fn declare(&self, channel: &Channel) -> Result<(), Failure> {
        let options = QueueDeclareOptions {
            durable: self.durable,
            auto_delete: self.auto_delete,
            exclusive: self.exclusive,
            ..QueueDeclareOptions::default()
        };
        let declared = channel.queue_declare(self.name.clone(), options, self.arguments.clone());
        let what = format!("declaring queue {}", self.name);
        answered(&what, declared).await.map(drop)
    }
}
