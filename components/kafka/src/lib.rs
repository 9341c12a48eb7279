//! Kafka for every building block it serves: pub/sub and bindings, both directions, over one set of settings.
//!
//! ```text
//! settings:     metadata ─▶ brokers, who we are, limits            settings/security: TLS and SASL
//! link:         settings ─▶ the vendor's client: its connections, producer, members of groups
//! message:      records ◀─▶ what publishers and subscribers see
//! partitioner:  key ─▶ partition, as upstream's client chooses it
//! partitions:   what is assigned, waits, is being handled, is to be committed: decisions only
//! retry:        how long a partition waits after a message that was not taken
//! member:       one member of a group at work: polls, hands over, commits, gives up what is revoked
//! consumption:  members one after another, for as long as a subscription lasts
//! ```
//!
//! Each subscription is a member of the group of its own, so that topics come and go without a restart of those that
//! stay. An offset is committed only when everything before it was taken: a message that is not taken holds up its
//! partition, and no other, until it is.
//!
//! Deliberately absent: Avro and its registry of schemas, which is refused where it is asked for; tokens of AWS, and
//! assertions signed with a private key; transactions.

mod binding;
mod consumption;
mod link;
mod member;
mod message;
mod partitioner;
mod partitions;
mod pubsub;
mod retry;
mod settings;

use std::sync::Arc;

use trilby_components::definition::Definition;
use trilby_components::pubsub::PubSub;
use trilby_components::registry::{Backend, Block};

pub use binding::connect as connect_binding;
pub use pubsub::KafkaPubSub;

/// Every block that Kafka serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::pubsub("kafka", async |context, metadata| {
            let broker = KafkaPubSub::connect(&context, &metadata).await?;
            Ok(Arc::new(broker) as Arc<dyn PubSub>)
        }),
        Backend::binding("kafka", async |context, metadata| {
            connect_binding(&context, &metadata).await
        }),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::PubSub, "kafka").taking::<settings::Settings>(),
        Definition::new(Block::Binding, "kafka")
            .taking::<settings::Settings>()
            .taking::<binding::Settings>()
            .capable_of(&["INPUT_BINDING", "OUTPUT_BINDING"]),
    ]
}
