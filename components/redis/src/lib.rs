//! Redis for every building block it can serve; today that is state, configuration and locks.
//!
//! [`config`] is what all of them share: where the servers are, how they are arranged and how to log in. [`link`] is one
//! multiplexed connection that comes back by itself: to a server, to the master that sentinels name ([`sentinel`]), or to
//! each server of a [`cluster`]. Deliberately absent: retries above the connection (they wrap the traits), sentinels of a
//! cluster and tokens of identity providers, both of which are refused by name.

mod cluster;
mod config;
mod configuration;
mod connection;
mod greeting;
mod link;
mod lock;
mod sentinel;
mod state;

use std::sync::Arc;

use trilby_components::{
    configuration::ConfigurationStore,
    definition::Definition,
    lock::LockStore,
    registry::{Backend, Block},
    state::StateStore,
};

pub use configuration::RedisConfiguration;
pub use lock::RedisLock;
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
    ]
}
