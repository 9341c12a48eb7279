//! Memcached for every building block it can serve; today that is state.
//!
//! ```text
//! settings:   metadata ─▶ hosts and limits
//! servers:    key ─▶ which of several servers has it, as upstream's client chooses
//! pool:       one server: its connections, each exchange with its limit
//! connection: one connection: a command out, an answer in
//! protocol:   commands and answers of the text protocol, as bytes
//! ```
//!
//! Deliberately absent: etags, transactions and lists of keys, which upstream's layout has no room for; unix sockets,
//! SASL and TLS, which upstream does not have either; and retries of writes (they wrap the traits).

mod connection;
mod pool;
mod protocol;
mod servers;
mod settings;
mod state;

use std::sync::Arc;

use trilby_components::definition::Definition;
use trilby_components::registry::{Backend, Block};
use trilby_components::state::StateStore;

pub use state::MemcachedState;

/// Every block that Memcached serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![Backend::state("memcached", async |_, metadata| {
        let store = MemcachedState::connect(&metadata).await?;
        Ok(Arc::new(store) as Arc<dyn StateStore>)
    })]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::State, "memcached")
            .taking::<settings::Settings>()
            .capable_of(&["TTL"]),
    ]
}
