//! MongoDB for every building block it can serve; today that is state.
//!
//! ```text
//! settings:  metadata ─▶ connection string, concerns, limit
//! value:     JSON and bytes ─▶ what a document holds of them, and back
//! write:     an operation ─▶ guarded updates of one document
//! failure:   what a caller can do about an error of the driver's
//! state:     reads, writes, transactions that begin anew where they meet others, lists of keys, queries
//! ```
//!
//! The collection is upstream's, so that both kinds of sidecars share it. Deliberately absent: retries of what may have
//! been carried out (they wrap the traits).

mod failure;
mod settings;
mod state;
mod value;
mod write;

use std::sync::Arc;

use trilby_components::definition::Definition;
use trilby_components::registry::{Backend, Block};
use trilby_components::state::StateStore;

pub use state::MongoState;

/// Every block that MongoDB serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![Backend::state("mongodb", async |_, metadata| {
        let store = MongoState::connect(&metadata).await?;
        Ok(Arc::new(store) as Arc<dyn StateStore>)
    })]
}

/// What its types take and can do. Without a replica set in the connection string, there are no transactions.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::State, "mongodb")
            .taking::<settings::Settings>()
            .capable_of(&[
                "ETAG",
                "TRANSACTIONAL",
                "TTL",
                "KEYS_LIKE",
                "QUERY_API",
                "ACTOR",
            ]),
    ]
}
