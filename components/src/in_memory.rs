//! Backends that need nothing but this process. Their data ends with it.

mod lock;
mod pubsub;
mod state;

use std::sync::Arc;

pub use lock::InMemoryLock;
pub use pubsub::InMemoryPubSub;
pub use state::InMemoryState;

use crate::{
    definition::Definition,
    lock::LockStore,
    pubsub::PubSub,
    registry::{Backend, Block},
    state::StateStore,
};

/// Every in-memory backend.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::state("in-memory", async |_, metadata| {
            metadata.decode::<state::NoSettings>()?;
            Ok(Arc::new(InMemoryState::default()) as Arc<dyn StateStore>)
        }),
        Backend::lock("in-memory", async |_, metadata| {
            metadata.decode::<state::NoSettings>()?;
            Ok(Arc::new(InMemoryLock::default()) as Arc<dyn LockStore>)
        }),
        Backend::pubsub("in-memory", async |_, metadata| {
            metadata.decode::<state::NoSettings>()?;
            Ok(Arc::new(InMemoryPubSub::default()) as Arc<dyn PubSub>)
        }),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::State, "in-memory")
            .taking::<state::NoSettings>()
            .capable_of(state::CAPABILITIES),
        Definition::new(Block::Lock, "in-memory").taking::<state::NoSettings>(),
        Definition::new(Block::PubSub, "in-memory")
            .taking::<state::NoSettings>()
            .capable_of(pubsub::CAPABILITIES),
    ]
}
