//! RabbitMQ for every building block it can serve: topics and queues.
//!
//! ```text
//! endpoint:   settings ─▶ where the broker is, and how to log in
//! link:       one connection that comes back by itself; gives channels
//! topology:   settings and subscription ─▶ the exchanges, queues and bindings that upstream declares
//! properties: metadata ◀─▶ the properties of a message
//! publisher:  messages out, each followed to the broker's word where there is to be one
//! intake:     messages in, each settled after its handler; opened anew when the broker comes back
//! pubsub, binding: the blocks, made of these
//! ```
//!
//! Deliberately absent: anything RabbitMQ has beyond AMQP 0-9-1 (streams, AMQP 1.0), and automatic recovery of the
//! client library, which would bring topology back behind our backs.

mod binding;
mod endpoint;
mod failure;
mod intake;
mod link;
mod properties;
mod publisher;
mod pubsub;
mod topology;

use std::sync::Arc;

use trilby_components::{
    binding::Binding,
    definition::Definition,
    pubsub::PubSub,
    registry::{Backend, Block},
};

pub use binding::RabbitMqBinding;
pub use pubsub::RabbitMqPubSub;

/// Every block that RabbitMQ serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::pubsub("rabbitmq", async |context, metadata| {
            let broker = RabbitMqPubSub::connect(&context, &metadata).await?;
            Ok(Arc::new(broker) as Arc<dyn PubSub>)
        }),
        Backend::binding("rabbitmq", async |_, metadata| {
            let queue = Arc::new(RabbitMqBinding::connect(&metadata).await?);
            Ok(Binding {
                input: Some(Arc::clone(&queue) as _),
                output: Some(queue as _),
            })
        }),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::PubSub, "rabbitmq")
            .taking::<pubsub::Settings>()
            .capable_of(&["MESSAGE_TTL"]),
        Definition::new(Block::Binding, "rabbitmq")
            .taking::<binding::Settings>()
            .capable_of(&["INPUT_BINDING", "OUTPUT_BINDING"]),
    ]
}
