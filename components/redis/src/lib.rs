//! Redis for every building block it can serve; today that is state, configuration, locks, pub/sub and
//! output bindings.
//!
//! [`config`] is what all of them share: where the servers are, how they are arranged and how to log in. [`link`] is one
//! multiplexed connection that comes back by itself: to a server, to the master that sentinels name ([`sentinel`]), or to
//! each server of a [`cluster`]. Deliberately absent: retries above the connection (they wrap the traits), sentinels of a
//! cluster and tokens of identity providers, both of which are refused by name.

mod binding;
mod cluster;
mod config;
mod configuration;
mod connection;
mod greeting;
mod link;
mod lock;
mod pubsub;
mod sentinel;
mod state;

use std::sync::Arc;

use trilby_components::{
    binding::Binding,
    configuration::ConfigurationStore,
    definition::Definition,
    lock::LockStore,
    pubsub::PubSub,
    registry::{Backend, Block},
    state::StateStore,
};

pub use binding::RedisBinding;
pub use configuration::RedisConfiguration;
pub use lock::RedisLock;
pub use pubsub::RedisPubSub;
pub use state::RedisState;

/// Every block that Redis serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::state("redis", async |_, metadata| {
            let store = RedisState::connect(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn StateStore>)
        }),
        Backend::lock("redis", async |_, metadata| {
            let store = RedisLock::connect(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn LockStore>)
        }),
        Backend::configuration("redis", async |_, metadata| {
            let store = RedisConfiguration::connect(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn ConfigurationStore>)
        }),
        Backend::pubsub("redis", async |context, metadata| {
            let broker = RedisPubSub::connect(&context, &metadata).await?;
            Ok(Arc::new(broker) as Arc<dyn PubSub>)
        }),
        Backend::binding("redis", async |_, metadata| {
            let binding = RedisBinding::connect(&metadata).await?;
            Ok(Binding {
                output: Some(Arc::new(binding)),
                ..Binding::default()
            })
        }),
    ]
}

/// What its types take and can do. Queries need `queryIndexes`.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::State, "redis")
            .taking::<config::Properties>()
            .taking::<state::Settings>()
            .capable_of(&[
                "ETAG",
                "TRANSACTIONAL",
                "TTL",
                "KEYS_LIKE",
                "QUERY_API",
                "ACTOR",
            ]),
        Definition::new(Block::Lock, "redis")
            .taking::<config::Properties>()
            .taking::<lock::Settings>(),
        Definition::new(Block::Configuration, "redis").taking::<config::Properties>(),
        Definition::new(Block::PubSub, "redis")
            .taking::<config::Properties>()
            .taking::<pubsub::Settings>(),
        Definition::new(Block::Binding, "redis")
            .taking::<config::Properties>()
            .capable_of(&["OUTPUT_BINDING"]),
    ]
}
