//! MySQL and MariaDB for every building block they can serve; today that is state and an output binding.
//!
//! ```text
//! connection: metadata ─▶ DSN of Go's driver ─▶ Target (where, as whom, over which TLS)
//! pool:       Target ─▶ connections, each request with its limit ─▶ failure: what a caller can do about it
//! binding:    statements of callers: their parameters from JSON, their rows to JSON
//! state:      schema (upstream's tables), statements, table (what is done with them)
//! ```
//!
//! Tables are upstream's, so that both kinds of sidecars share a database. Deliberately absent: queries over documents,
//! and retries of what may have been carried out (they wrap the traits).

mod binding;
mod connection;
mod failure;
mod pool;
mod state;

use std::sync::Arc;

use trilby_components::binding::Binding;
use trilby_components::definition::Definition;
use trilby_components::registry::{Backend, Block};
use trilby_components::state::StateStore;

pub use binding::MysqlBinding;
pub use state::MysqlState;

/// Every block that MySQL serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::state("mysql", async |_, metadata| {
            let store = MysqlState::open(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn StateStore>)
        }),
        Backend::binding("mysql", async |_, metadata| {
            let binding = MysqlBinding::connect(&metadata).await?;
            Ok(Binding {
                input: None,
                output: Some(Arc::new(binding)),
            })
        }),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::State, "mysql")
            .taking::<connection::Properties>()
            .taking::<state::Settings>()
            .capable_of(&["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR"]),
        Definition::new(Block::Binding, "mysql")
            .taking::<binding::Settings>()
            .capable_of(&["OUTPUT_BINDING"]),
    ]
}
