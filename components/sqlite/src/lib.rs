//! SQLite for every building block it can serve; today those are state and name resolution.
//!
//! [`database`] owns the file and runs each piece of work on a thread that may block; [`connection`] reads the
//! connection string as upstream does; [`notes`] is the table beside those of the blocks; [`hosts`] is the resolver,
//! [`state`] the store. Tables are upstream's, so that both kinds of sidecars share one file.

mod connection;
mod database;
mod hosts;
mod notes;
mod state;

use std::sync::Arc;

use trilby_components::definition::Definition;
use trilby_components::name_resolution::{NameResolver, ResolverBackend};
use trilby_components::registry::{Backend, Block};
use trilby_components::state::StateStore;

pub use hosts::SqliteResolver;
pub use state::SqliteState;

/// Every block that SQLite serves, beside name resolution.
#[must_use]
pub fn backends() -> Vec<Backend> {
    let state = Backend::state("sqlite", async |_, metadata| {
        let store = SqliteState::open(&metadata).await?;
        Ok(Arc::new(store) as Arc<dyn StateStore>)
    });
    vec![state.aliases(&["sqlite3"])]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::State, "sqlite")
            .taking::<connection::Properties>()
            .taking::<state::Settings>()
            .capable_of(&["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR"]),
    ]
}

/// The resolver of this crate.
#[must_use]
pub fn resolvers() -> Vec<ResolverBackend> {
    vec![ResolverBackend::new(
        "sqlite",
        async |instance, settings| {
            let resolver = SqliteResolver::new(&instance, &settings).await?;
            Ok(Arc::new(resolver) as Arc<dyn NameResolver>)
        },
    )]
}
